import pytest

from conceptome.dictionaries import TopK
from conceptome.dictionaries.options import Recipe
from conceptome.dictionaries.schedule import Schedule


def schedule(**settings):
    options = TopK(8, 2, lr=1.0, batch_size=25, **settings).resolve(d_embed=4, n_train=100)
    return Schedule(Recipe.of(options), n_cells=100)  # four steps an epoch


def test_a_warm_up_rises_step_by_step():
    steps = schedule(warmup_epochs=2)
    assert [steps.next_lr() for _ in range(10)] == [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1, 1, 1]


def test_a_linear_decay_ends_near_zero():
    steps = schedule(decay="linear", max_epochs=10)
    rates = [steps.next_lr() for _ in range(40)]
    assert rates[:33] == [1.0] * 33
    assert rates[33:] == pytest.approx([7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    assert not any(steps.drop_on_plateau(improved=False) for _ in range(100))
    assert steps.settling


def test_plateaus_lower_the_rate_twice_and_then_end():
    steps = schedule(patience=3)
    fell = [steps.drop_on_plateau(improved=epoch == 1) for epoch in range(11)]
    assert [epoch for epoch, drop in enumerate(fell) if drop] == [4, 7, 10]
    assert steps.exhausted
    assert steps.next_lr() == pytest.approx(0.2**3)


def test_nothing_is_resampled_in_the_last_phase():
    steps = schedule(patience=1)
    assert not steps.settling
    steps.drop_on_plateau(improved=False)
    assert not steps.settling
    steps.drop_on_plateau(improved=False)
    assert steps.settling
    assert not steps.exhausted


def test_it_continues_where_it_stood():
    one, other = schedule(patience=2, warmup_epochs=1), schedule(patience=2, warmup_epochs=1)
    for _ in range(5):
        one.next_lr()
        one.drop_on_plateau(improved=False)
    other.restore(one.state())
    assert other.next_lr() == one.next_lr()
    assert other.drop_on_plateau(improved=False) == one.drop_on_plateau(improved=False)
    assert other.state() == one.state()
