import pytest

from conceptome.core import InputError, NotEditableError
from conceptome.testing import ContractError
from conceptome.testing.report import Promise, run_promises


def kept(_):
    yield from ()


def broken(trial):
    yield f"the {trial} is off."
    yield "so is the rest."


def raises(_):
    yield "one thing."
    msg = "no luck"
    raise ValueError(msg)


def refuses(_):
    msg = "it is finished"
    raise NotEditableError(msg)
    yield


PROMISES = {
    "first": Promise(kept),
    "second": Promise(broken),
    "third": Promise(kept, needs=("first", "second")),
    "fourth": Promise(raises),
    "fifth": Promise(refuses),
}


def test_everything_broken_is_in_one_error():
    with pytest.raises(ContractError) as caught:
        run_promises("Mine", PROMISES, "size", skip=())
    assert str(caught.value) == (
        "Mine breaks 2 of 3 promises:\n"
        "- second: the size is off.\n"
        "- second: so is the rest.\n"
        "- fourth: raised ValueError: no luck"
    )
    report = caught.value.report
    assert report.kept == ("first",)
    assert report.skipped == {"third": "stands on second", "fifth": "it is finished"}
    assert list(report.to_frame()["outcome"]) == ["kept", "broken", "broken", "broken", "skipped", "skipped"]


def test_what_is_not_promised_is_skipped():
    report = run_promises("Mine", PROMISES, "size", skip=("second", "fourth"))
    assert str(report) == "Mine keeps all 2 promises that were checked."
    assert report.kept == ("first", "third")
    assert report.skipped["second"] == "not promised"


def test_refuses_to_skip_what_is_no_promise():
    with pytest.raises(InputError) as caught:
        run_promises("Mine", PROMISES, "size", skip=("sixth",))
    message = "There is no promise sixth to skip. Promises: first, second, third, fourth, fifth."
    assert str(caught.value) == message
