"""Feeds as tests write them."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from xml.sax.saxutils import escape, quoteattr


@dataclass
class Item:
    """An episode; day 1 is older than day 2."""

    name: str
    url: str
    day: int = 1
    guid: str | None = None
    type: str = "audio/mpeg"

    def xml(self) -> str:
        guid = self.guid if self.guid is not None else f"guid of {self.name}"
        date = formatdate(1_700_000_000 + 86400 * self.day)
        enclosure = f"<enclosure url={quoteattr(self.url)} type={quoteattr(self.type)} length='1'/>"
        told = f"<title>{escape(self.name)}</title><guid>{escape(guid)}</guid><pubDate>{date}</pubDate>"
        return f"<item>{told}{enclosure}</item>"


def feed(*items: Item, title: str = "A show", guid: str = "") -> bytes:
    own = f"<podcast:guid>{guid}</podcast:guid>" if guid else ""
    spaces = 'version="2.0" xmlns:podcast="https://podcastindex.org/namespace/1.0"'
    head = f'<?xml version="1.0" encoding="utf-8"?><rss {spaces}><channel><title>{escape(title)}</title>{own}'
    return (head + "".join(item.xml() for item in items) + "</channel></rss>").encode()
