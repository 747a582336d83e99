"""docs/formats.md is what docs/formats.py makes of files that it writes and reads."""

import importlib.util


def test_the_page_of_formats_is_up_to_date(repository):
    spec = importlib.util.spec_from_file_location("formats_page", repository / "docs" / "formats.py")
    formats = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(formats)
    page = formats.PAGE.read_text(encoding="utf-8")
    assert formats.page(page) == page, "run `python docs/formats.py`"
