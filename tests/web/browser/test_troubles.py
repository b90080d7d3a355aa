"""Slow, failing and hostile answers."""

import json

import pytest
from playwright.sync_api import expect

XSS = '"><img src=x onerror="window.hit=1"><script>window.hit=1</script>{{7*7}}</title>javascript:alert(1)'
KEPT = {"kind", "key", "role", "measure", "digest", "ref", "status"}


def test_a_failing_panel_says_why_and_can_be_tried_again(watched):
    page = watched.page
    fail = {"status": 500, "json": {"error": {"status": 500, "message": "The file is gone."}}}
    page.route("**/concepts/0/genes*", lambda route: route.fulfill(**fail))
    page.goto("/concepts/0")
    panel = page.get_by_role("region", name="Genes that drive it")
    expect(panel.get_by_role("alert")).to_have_text("The file is gone.")
    expect(page.get_by_role("region", name="Where it fires").locator("svg")).to_be_visible()
    page.unroute("**/concepts/0/genes*")
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator("svg")).to_be_visible()


def test_a_server_that_has_gone_is_named(watched):
    page = watched.page
    page.route("**/api/v1/meta", lambda route: route.abort())
    page.goto("/")
    expect(page.get_by_role("alert")).to_have_text(
        "The server does not answer. Is “conceptome serve” still running?"
    )
    page.unroute("**/api/v1/meta")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("h1")).to_have_text("demo cells")


def test_another_atlas_under_the_same_address_is_noticed(watched):
    page = watched.page

    def older(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "digest": "0" * 32})

    page.route("**/api/v1/meta", older)
    page.goto("/concepts")
    message = "The atlas was replaced by another one. Load the page again."
    expect(page.get_by_role("alert")).to_have_text(message)


def test_a_slow_search_does_not_overwrite_a_later_one(watched):
    page = watched.page
    page.goto("/")
    expect(page.locator("h1")).to_be_visible()
    waiting = []
    page.route("**/search?*q=component%201*", lambda route: waiting.append(route))
    box = page.get_by_role("combobox", name="Search")
    with page.expect_request("**/search?*q=component%201*"):
        box.fill("component 1")
    box.fill("component 2")
    expect(page.get_by_role("option").first).to_contain_text("component 2")
    waiting[0].continue_()
    page.wait_for_timeout(400)
    expect(page.get_by_role("option").first).to_contain_text("component 2")


def test_late_answers_on_one_concept_do_not_show_on_the_next(watched):
    page = watched.page
    watched.open("/concepts/0?sort=concept&falling=0")
    late = []
    page.route("**/concepts/2/*", lambda route: late.append(route))
    page.keyboard.press("j")
    watched.settled()
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("component 2")
    page.keyboard.press("k")
    expect(page.locator("h1")).to_have_text("component 1")
    watched.settled()
    said = page.locator("main").inner_text()
    for route in late:
        route.continue_()
    page.wait_for_timeout(300)
    assert page.locator("main").inner_text() == said
    assert watched.troubles == []


def test_slow_panels_wait_while_others_show(watched):
    page = watched.page
    waiting = []
    page.route("**/concepts/0/pairs*", lambda route: waiting.append(route))
    page.goto("/concepts/0")
    expect(page.get_by_role("region", name="Genes that drive it").locator("svg")).to_be_visible()
    panel = page.get_by_role("region", name="What changed between pairs of cells")
    expect(panel).to_have_attribute("aria-busy", "true")
    waiting[0].continue_()
    expect(panel).to_have_attribute("aria-busy", "false")
    expect(panel.locator("li").first).to_be_visible()


def poisoned(value, name=""):
    """Put a script in the place of every text."""
    if isinstance(value, str):
        return value if name in KEPT or not value else f"{value} {XSS}"
    if isinstance(value, list):
        return [poisoned(one, name) for one in value]
    if isinstance(value, dict):
        return {key: poisoned(one, key) for key, one in value.items()}
    return value


PATHS = (
    *("/", "/concepts", "/concepts/0?names=1&beside=obs:cell_type", "/genes/0", "/terms/0"),
    *("/groups/cell_type/0", "/cells/0", "/search?q=component"),
)


@pytest.mark.parametrize("path", PATHS)
def test_texts_that_try_to_be_scripts_are_shown_as_texts(watched, path):
    page = watched.page

    def poison(route):
        answer = route.fetch()
        is_json = "json" in answer.headers.get("content-type", "")
        route.fulfill(response=answer, **({"json": poisoned(answer.json())} if is_json else {}))

    page.route("**/api/v1/**", poison)
    page.goto(path)
    expect(page.get_by_text("onerror=").first).to_be_attached()
    expect(page.locator(".waiting, [aria-busy=true]")).to_have_count(0)
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src=x], main script, a[href^=javascript]").count() == 0
    assert watched.troubles == []


def test_an_annotation_is_saved_kept_and_shown(watched):
    page = watched.page
    page.goto("/concepts/0")
    page.get_by_label("Label", exact=True).fill(f"NK {XSS}")
    page.get_by_label("Notes").fill("seen in blood")
    page.get_by_role("group", name="Interpretability").get_by_role("button", name="3").click()
    page.get_by_label("Notes").focus()
    expect(page.get_by_role("alert")).to_have_text("Not saved yet: write your name first.")
    page.get_by_label("Your name").fill("Ada")
    expect(page.get_by_text("Saved ", exact=False).first).to_be_visible()
    expect(page.locator("h1")).to_have_text(f"NK {XSS}")
    page.reload()
    expect(page.get_by_label("Label", exact=True)).to_have_value(f"NK {XSS}")
    score = page.get_by_role("group", name="Interpretability").get_by_role("button", name="3")
    expect(score).to_have_attribute("aria-pressed", "true")
    page.goto("/concepts?only=annotated")
    expect(page.locator("tbody a")).to_have_text([f"NK {XSS}"])
    assert page.evaluate("window.hit") is None
    assert watched.troubles == []


def test_what_was_being_written_survives_a_failing_server(watched):
    page = watched.page

    def refuse_writes(route):
        route.abort() if route.request.method == "POST" else route.continue_()

    page.route("**/api/v1/annotations", refuse_writes)
    page.goto("/concepts/1")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Label", exact=True).fill("written offline")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    page.unroute("**/api/v1/annotations")
    page.reload()
    expect(page.get_by_label("Label", exact=True)).to_have_value("written offline")
    expect(page.get_by_text("Saved ", exact=False).first).to_be_visible()


def test_a_draft_older_than_what_somebody_wrote_asks_first(watched, site):
    page = watched.page
    watched.open("/concepts/3")
    page.route(
        "**/api/v1/annotations",
        lambda route: route.abort() if route.request.method == "POST" else route.continue_(),
    )
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("Label", exact=True).fill("an old draft")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    page.get_by_role("link", name="Conceptome", exact=True).click()
    expect(page.get_by_text("Written here, not saved on the server yet: concept 3")).to_be_visible()
    theirs = {"concept": 3, "author": "Ben", "label": "from Ben", "key": "87654321"}
    headers = {"X-Conceptome": "1", "Origin": site, "Content-Type": "application/json"}
    assert page.request.post("/api/v1/annotations", data=json.dumps(theirs), headers=headers).status == 201
    page.unroute("**/api/v1/annotations")
    watched.open("/concepts/3")
    expect(page.get_by_role("alert")).to_contain_text("Ben has written meanwhile: “from Ben”.")
    expect(page.get_by_label("Label", exact=True)).to_have_value("an old draft")
    page.get_by_role("button", name="Take theirs").click()
    expect(page.get_by_label("Label", exact=True)).to_have_value("from Ben")


def test_two_who_write_at_once_do_not_overwrite_each_other(watched, site):
    page = watched.page
    page.goto("/concepts/2")
    page.get_by_label("Your name").fill("Ada")
    expect(page.get_by_label("Label", exact=True)).to_be_visible()
    theirs = {"concept": 2, "author": "Ben", "label": "from Ben", "key": "12345678"}
    headers = {"X-Conceptome": "1", "Origin": site, "Content-Type": "application/json"}
    answer = page.request.post("/api/v1/annotations", data=json.dumps(theirs), headers=headers)
    assert answer.status == 201
    page.get_by_label("Label", exact=True).fill("from Ada")
    expect(page.get_by_role("alert")).to_contain_text("Ben has written meanwhile: “from Ben”.")
    page.get_by_role("button", name="Save mine on top").click()
    expect(page.get_by_text("2 revisions")).to_be_visible()
    history = page.request.get("/api/v1/annotations/2").json()
    assert history["columns"]["label"] == ["from Ada", "from Ben"]
    assert history["columns"]["supersedes"] == [1, None]
