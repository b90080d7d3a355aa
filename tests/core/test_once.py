import logging

from conceptome.core import log_once


def test_says_a_thing_once_and_another_too(caplog):
    log_once.cache_clear()
    logger = logging.getLogger("conceptome.test")
    with caplog.at_level(logging.INFO, logger="conceptome.test"):
        for message in ("first", "second", "first"):
            log_once(logger, logging.INFO, message)
        log_once(logger, logging.WARNING, "first")
    found = [(record.levelname, record.message) for record in caplog.records]
    assert found == [("INFO", "first"), ("INFO", "second"), ("WARNING", "first")]
