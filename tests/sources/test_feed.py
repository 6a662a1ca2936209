"""Feeds to episodes: what podcasts write, what is broken, what is no feed at all."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback import Scratch

from narrowboat.errors import SourceError
from narrowboat.sources.feed import read
from narrowboat.sources.feed_document import looks_like

RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:media="http://search.yahoo.com/mrss/"
 xmlns:podcast="https://podcastindex.org/namespace/1.0" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>A &amp; B</title>{head}{items}</channel></rss>"""
MP3 = '<enclosure url="{url}" type="audio/mpeg" length="123"/>'


def item(more: str = "", *, guid: str = "g", title: str = "t", url: str = "https://h/a.mp3") -> str:
    return f"<item><title>{title}</title><guid>{guid}</guid>{MP3.format(url=url)}{more}</item>"


def rss(*items: str, head: str = "") -> bytes:
    return RSS.format(head=head, items="".join(items)).encode()


class Reading:
    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch

    def __call__(self, document: bytes, **asked: Any) -> dict[str, Any]:
        path = self._scratch.path / "feed"
        path.write_bytes(document)
        found = read({"path": str(path), "shown": "the feed", "url": "https://h/pod/feed.xml", **asked})
        lines = Path(found["path"]).read_text("utf-8").splitlines()
        return {**found, "chosen": [json.loads(line) for line in lines]}

    def one(self, document: bytes, **asked: Any) -> dict[str, Any]:
        (episode,) = self(document, **asked)["chosen"]
        assert isinstance(episode, dict)
        return episode

    def titles(self, document: bytes, **asked: Any) -> list[str]:
        return [episode["title"] for episode in self(document, **asked)["chosen"]]


@pytest.fixture
def reading(scratch: Scratch) -> Reading:
    return Reading(scratch)


def at(*when: int) -> float:
    return datetime(*when, tzinfo=UTC).timestamp()  # type: ignore[arg-type,misc]


# -- what feeds hold ------------------------------------------------------------------------------------------------


def test_a_podcast(reading: Reading) -> None:
    more = (
        "<pubDate>Wed, 02 Oct 2024 15:00:00 +0200</pubDate><link>/notes/1</link>"
        "<itunes:duration>1:02:03</itunes:duration><itunes:season>2</itunes:season><itunes:episode>7</itunes:episode>"
        '<podcast:transcript url="https://h/1.vtt" type="text/vtt"/>'
    )
    head = '<podcast:guid>917393e3</podcast:guid><atom:link rel="self" href="https://h/feed"/>'
    found = reading(rss(item(more, guid="one", title="<![CDATA[Q&A <i>one</i>]]>"), head=head))
    assert {name: found[name] for name in ("title", "guid", "self", "entries", "episodes", "warning")} == {
        "title": "A & B",
        "guid": "917393e3",
        "self": "https://h/feed",
        "entries": 1,
        "episodes": 1,
        "warning": None,
    }
    assert found["chosen"] == [
        {
            "guid": "one",
            "title": "Q&A one",
            "published": at(2024, 10, 2, 13),
            "order": at(2024, 10, 2, 13),
            "url": "https://h/a.mp3",
            "type": "audio/mpeg",
            "bytes": 123,
            "duration": 3723.0,
            "season": 2,
            "number": 7,
            "link": "https://h/notes/1",
            "transcript": "https://h/1.vtt",
        }
    ]


def test_atom(reading: Reading) -> None:
    entry = """<entry><title type="html">E &lt;b&gt;1&lt;/b&gt;</title><id>urn:1</id>
    <updated>2024-01-02T03:04:05+02:00</updated><link rel="alternate" href="p.html"/>
    <link rel="enclosure" href="e.mp3" type="audio/mpeg" length="7"/></entry>"""
    feed = f'<feed xmlns="http://www.w3.org/2005/Atom" xml:base="https://b/x/"><title>F</title>{entry}</feed>'
    found = reading.one(feed.encode())
    assert (found["guid"], found["title"], found["published"]) == ("urn:1", "E 1", at(2024, 1, 2, 1, 4, 5))
    assert (found["url"], found["bytes"], found["link"]) == ("https://b/x/e.mp3", 7, "https://b/x/p.html")


def test_rss_1(reading: Reading) -> None:
    feed = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
    xmlns:enc="http://purl.oclc.org/net/rss_2.0/enc#" xmlns:dc="http://purl.org/dc/elements/1.1/">
    <channel rdf:about="https://h/"><title>R</title></channel><item rdf:about="https://h/1"><title>one</title>
    <dc:date>2024-01-02T03:04:05Z</dc:date>
    <enc:enclosure rdf:resource="https://h/1.mp3" enc:type="audio/mpeg" enc:length="5"/></item></rdf:RDF>"""
    found = reading.one(feed.encode())
    assert (found["guid"], found["url"], found["bytes"]) == ("https://h/1", "https://h/1.mp3", 5)
    assert found["published"] == at(2024, 1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("enclosures", "url"),
    [
        ('<enclosure url="https://h/a.mp4" type="video/mp4"/><enclosure url="https://h/b" type="audio/mpeg"/>', "b"),
        ('<enclosure url="https://h/a.jpg" type="image/jpeg"/><enclosure url="https://h/b.mp3"/>', "b.mp3"),
        ('<enclosure url="https://h/a.mp3?x"/><enclosure url="https://h/b.mp3"/>', "a.mp3?x"),
        ('<enclosure url="https://h/get?id=1" type="application/octet-stream"/>', "get?id=1"),
        ('<enclosure url="https://h/a.mp3" type="text/html"/>', "a.mp3"),
        ('<media:content url="https://h/m.opus"/>', "m.opus"),
        ('<media:group><media:content url="https://h/v" medium="video"/></media:group>', "v"),
        ('<enclosure url="https://h/p.pdf" type="application/pdf"/>', None),
        ('<enclosure url="https://h/p.pdf"/>', None),
        ('<enclosure url=""/><enclosure type="audio/mpeg"/>', None),
        ("<link>https://h/page</link>", None),
        ('<enclosure url="c/d e.mp3" type="audio/mpeg"/>', "pod/c/d%20e.mp3"),
        ('<enclosure url="/r.mp3" type="audio/mpeg"/>', "r.mp3"),
        ('<enclosure url="//h/p.mp3#t=5" type="audio/mpeg"/>', "p.mp3"),
        ('<enclosure url="file:///etc/passwd" type="audio/mpeg"/>', None),
        ('<enclosure url="javascript:x" type="audio/mpeg"/>', None),
        ('<enclosure url="https://[::1/a.mp3" type="audio/mpeg"/>', None),
        ('<enclosure url="https://h/\u00e4.mp3" type="audio/mpeg"/>', "%C3%A4.mp3"),
    ],
)
def test_the_enclosure_to_listen_to(reading: Reading, enclosures: str, url: str | None) -> None:
    found = reading(rss(f"<item><title>t</title><guid>g</guid>{enclosures}</item>"))
    assert [episode["url"] for episode in found["chosen"]] == ([] if url is None else [f"https://h/{url}"])
    assert found["entries"] == 1


def test_relative_addresses_lead_nowhere_without_an_address_of_the_feed(reading: Reading) -> None:
    document = rss(item(url="a.mp3"))
    assert reading(document, url=None)["chosen"] == []
    own = '<atom:link rel="self" href="https://h/own/feed"/>'
    assert reading.one(rss(item(url="a.mp3"), head=own), url=None)["url"] == "https://h/own/a.mp3"


def test_guids_of_entries_that_have_none(reading: Reading) -> None:
    def bare(url: str, link: str = "") -> str:
        return f"<item><title>t</title>{MP3.format(url=url)}{link and f'<link>{link}</link>'}</item>"

    items = [
        bare("https://h/a.mp3?token=1"),
        bare("https://h/get?id=1", "https://h/one"),
        bare("https://h/get?id=2", "https://h/two"),
        bare("https://h/pull?id=3"),
        bare("https://h/pull?id=4"),
    ]
    assert [episode["guid"] for episode in reading(rss(*items))["chosen"]] == [
        "https://h/a.mp3",
        "https://h/one",
        "https://h/two",
        "https://h/pull?id=3",
        "https://h/pull?id=4",
    ]


def test_a_guid_is_as_written_whatever_the_address_of_the_feed(reading: Reading) -> None:
    assert reading.one(rss(item(guid=" episode 1 ")))["guid"] == "episode 1"
    assert reading.one(rss(item(guid="x" * 1001)))["guid"].startswith("sha256:")


def test_of_entries_with_one_guid_the_first_counts(reading: Reading) -> None:
    found = reading(rss(item(title="new"), item(title="old")))
    assert ([episode["title"] for episode in found["chosen"]], found["entries"], found["episodes"]) == (["new"], 2, 1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("3723", 3723), ("62:03", 3723), ("1:02:03.5", 3723.5), ("about an hour", None), ("0", None)]
)
def test_lengths(reading: Reading, text: str, seconds: float | None) -> None:
    assert reading.one(rss(item(f"<itunes:duration>{text}</itunes:duration>")))["duration"] == seconds


# -- what was asked for ---------------------------------------------------------------------------------------------


def dated(*dates: str) -> bytes:
    items = [
        item(f"<pubDate>{date}</pubDate>" if date else "", guid=str(n), title=f"No {n}") for n, date in enumerate(dates)
    ]
    return rss(*items)


OLD, MIDDLE, NEW = "Mon, 01 Jan 2024 00:00:00 GMT", "Thu, 01 Feb 2024 00:00:00 GMT", "Fri, 01 Mar 2024 00:00:00 GMT"


def test_the_newest_come_first_whatever_their_order(reading: Reading) -> None:
    assert reading.titles(dated(OLD, NEW, MIDDLE)) == ["No 1", "No 2", "No 0"]
    assert reading.titles(dated(OLD, NEW, MIDDLE), latest=2) == ["No 1", "No 2"]
    assert reading.titles(dated(OLD, NEW), latest=10) == ["No 1", "No 0"]


def test_without_dates_the_order_of_the_feed_counts(reading: Reading) -> None:
    assert reading.titles(dated("", "", ""), latest=2) == ["No 0", "No 1"]


def test_a_bad_date_is_none_and_its_entry_keeps_its_place(reading: Reading) -> None:
    document = dated(NEW, "the other day", OLD)
    assert reading.titles(document) == ["No 0", "No 1", "No 2"]
    assert [episode["published"] for episode in reading(document)["chosen"]][1] is None
    assert reading.titles(document, since=at(2024, 2, 15)) == ["No 0", "No 1"]


def test_since(reading: Reading) -> None:
    assert reading.titles(dated(OLD, MIDDLE, NEW), since=at(2024, 2, 1)) == ["No 2", "No 1"]
    assert reading.titles(dated("", ""), since=at(2024, 2, 1)) == []


@pytest.mark.parametrize(
    ("match", "titles"),
    [("ÉTÉ", ["L'été"]), ("/^l.*\\d$/", ["Live 2"]), ("[", ["a [b"]), ("/", ["and/or"]), ("nothing", [])],
)
def test_match(reading: Reading, match: str, titles: list[str]) -> None:
    document = rss(*(item(guid=title, title=title) for title in ("L'été", "Live 2", "a [b", "and/or")))
    assert reading.titles(document, match=match) == titles


def test_all_that_is_asked_for_together(reading: Reading) -> None:
    assert reading.titles(dated(NEW, MIDDLE, OLD, OLD), match="no", since=at(2024, 1, 15), latest=1) == ["No 0"]


# -- what is broken -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "utf-16", "windows-1252"])
def test_encodings(reading: Reading, encoding: str) -> None:
    text = rss(item(title="Größe")).decode().replace('encoding="utf-8"', f'encoding="{encoding}"')
    assert reading.titles(text.encode(encoding)) == ["Größe"]
    assert reading.titles(text.encode(encoding), charset=encoding) == ["Größe"]


def test_a_wrong_charset_of_the_server(reading: Reading) -> None:
    assert reading.titles(rss(item(title="Größe")), charset="us-ascii") == ["Größe"]
    assert reading.titles(rss(item(title="Größe")), charset="no-such-charset") == ["Größe"]


def test_named_entities_of_html(reading: Reading) -> None:
    document = rss(item(title="caf&eacute;")).replace(
        b"<rss", b'<!DOCTYPE rss [<!ENTITY eacute "&#233;"><!ENTITY copy "(c)">]><rss'
    )
    assert reading.titles(document) == ["café"]
    assert reading.titles(rss(item(title="caf&eacute;"))) == ["café"]  # not declared: not well-formed, and common


def test_a_feed_that_is_cut_is_read_as_far_as_it_goes(reading: Reading) -> None:
    document = dated(NEW, MIDDLE, OLD)
    found = reading(document[: document.index(b"No 2")])
    assert [episode["title"] for episode in found["chosen"]][:2] == ["No 0", "No 1"]
    assert "not well-formed" in found["warning"]


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "{long}">',
        "<!ENTITY a '{long}'>",
        '<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;">',
        '<!-- {long} --><!ENTITY a  \n "{long}">',
    ],
)
def test_a_bomb_of_entities_is_refused(reading: Reading, declared: str) -> None:
    declared = declared.format(long="x" * 10_000)
    bomb = rss(item(title="&a;" * 1000)).replace(b"<rss", f"<!DOCTYPE rss [{declared}]><rss".encode())
    with pytest.raises(SourceError, match="declares entities"):
        reading(bomb)
    with pytest.raises(SourceError, match="declares entities"):
        reading(bomb.decode().replace("utf-8", "utf-16").encode("utf-16"))


def test_an_article_about_entities_is_no_bomb(reading: Reading) -> None:
    assert reading.titles(rss(item(f"<description><![CDATA[<!ENTITY a '{'x' * 99}'>]]></description>"))) == ["t"]


def test_an_external_entity_is_not_read(reading: Reading) -> None:
    document = rss(item(title="&a;")).replace(b"<rss", b'<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss')
    assert "root" not in json.dumps(reading(document)["chosen"])


def test_an_empty_feed(reading: Reading) -> None:
    found = reading(rss())
    assert (found["title"], found["entries"], found["chosen"]) == ("A & B", 0, [])


PAGE = """<!DOCTYPE html><html><head><title>A show</title>
<link rel="alternate" type="application/rss+xml" href="/pod.xml"><link rel="stylesheet" href="x.css"></head></html>"""


@pytest.mark.parametrize(
    ("document", "told", "hint"),
    [
        (PAGE, "is a web page and no feed", "its feed is https://h/pod.xml"),
        ("<html><body>x</body></html>", "is a web page and no feed", "give the address of its feed"),
        ('<?xml version="1.0"?>\n<html xmlns="x"></html>', "is a web page", "give the address of its feed"),
        ('<?xml version="1.0"?><opml version="2.0"></opml>', "is a list of feeds (OPML)", "give the feeds in it"),
        ('{"version": "https://jsonfeed.org/version/1"}', "is a JSON feed", "RSS or Atom"),
        ('<?xml version="1.0"?><note>x</note>', "is XML, but no feed", "give the address of its feed"),
        ("ID3\x04\x00", "is no feed", "give the address of a feed"),
        ("plain text", "is no feed", "give the address of a feed"),
        ("<rss", "neither RSS nor Atom", ""),
        ("<?xml version='1.0'?>" + "<!-- x -->" * 200_000 + "<rss/>", "nothing begins in its first 1.0 MiB", ""),
    ],
)
def test_what_is_no_feed(reading: Reading, document: str, told: str, hint: str) -> None:
    with pytest.raises(SourceError) as caught:
        reading(document.encode())
    assert told in caught.value.message and caught.value.message.startswith("the feed ")
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xef\xbb\xbf  <?xml version='1.0'?><!-- <html> --><rss version='2.0'>", "feed"),
        ("<?xml version='1.0' encoding='utf-16'?><feed>".encode("utf-16"), "feed"),
        (b"<?xml version='1.0'?><?xml-stylesheet href='<html>'?><rdf:RDF>", "feed"),
        (b"<?xml version='1.0'?><!-- without an end", "xml"),
        (b"<!doctype HTML>", "page"),
        (b"RIFF....WAVE", "other"),
        (b"", "other"),
    ],
)
def test_what_it_looks_like(head: bytes, kind: str) -> None:
    assert looks_like(head) == kind


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_comes_it_is_a_feed_or_an_error_of_ours(reading: Reading, data: st.DataObject) -> None:
    document = bytearray(rss(item("<pubDate>Fri, 01 Mar 2024 00:00:00 GMT</pubDate>"), item(guid="2")))
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(document)))
        document[start : start + data.draw(st.integers(0, 60))] = data.draw(
            st.binary(max_size=20) | st.sampled_from([b"<", b"]]>", b"&#", b"&#x110000;", b"<![CDATA[", b"<!", b"'\""])
        )
    with suppress(SourceError):
        assert reading(bytes(document))["entries"] >= 0


def test_thousands_of_entries(reading: Reading) -> None:
    document = rss(*(item(guid=str(n), title=f"No {n}") for n in range(3000)))
    assert len(reading.titles(document)) == 3000
