"""Fingerprints as words that two people compare over the phone.

A word stands for one byte: 256 short words, of which no two share their first three
letters or differ by one letter only, so that a bad line is heard as a wrong word.

Twelve words are 96 bits of a SHA-256. Whoever sits between two people must show them
two different requests with the same words, and does not choose the keys of the honest
one: a second preimage, 2^96 hashes. Eight words would be 2^64, which a rich attacker
can pay for within the week that an invite lives; a birthday attack (2^48) finds two
requests of one's own, and gains nothing.
"""

from typing import Final

SPOKEN: Final = 12
"""How many words, so bytes of a digest, are read aloud."""

_LIST = """
acorn actor adult agent album alley amber anchor angle apple apron arch
arrow atlas autumn axis bacon badge baker bamboo banjo barrel basket beach
beetle bell berry bicycle bishop blanket blossom bottle bracket bridge
bronze bucket butter cabin cactus camel candle carpet castle cedar cello
chalk cherry chimney cinema circus clover cobra coffee comet copper coral
cotton cousin cradle crystal curtain cymbal daisy dancer decade degree denim
desert diamond dinner doctor dolphin dragon drum eagle earth easel echo
eclipse editor elbow elephant engine envelope exit fabric falcon farmer
feather fiddle finger flame flute forest fossil fountain frost galaxy garden
gazelle giraffe glacier glove gold granite guitar hammer harbor hazel helmet
hockey honey hotel hunter iceberg igloo index ink iris island ivory jacket
jaguar jersey jewel jigsaw jungle jury kayak kernel kettle kitchen kiwi
koala ladder lagoon lantern lemon leopard library lily linen lizard lobster
lunch lyric magnet maple marble meadow mirror monkey mosaic motor muffin
museum napkin navy needle nephew nickel noodle north novel nurse nutmeg
oasis ocean octave olive onion opera orange orchid otter oven owl oxygen
oyster palace panther parrot peanut pebble pencil pepper piano pigeon pilot
planet poet prism pulley pumpkin puzzle pyramid quartz queen quilt rabbit
radar ribbon river robin rocket rooster ruby rudder saddle salmon sandal
scarf seven shadow silver siren sister skate snow sofa spider squash stone
sugar summer table tailor temple ticket tiger timber tomato trumpet tulip
tunnel turtle twelve umbrella uncle uniform vanilla velvet violin volcano
wagon walnut wheat whisper window wool yacht yellow yogurt zebra zenith
zipper
"""
WORDS: Final = tuple(_LIST.split())


def spoken(digest: bytes) -> str:
    """Return the first bytes of a SHA-256 *digest* as words."""
    return " ".join(WORDS[byte] for byte in digest[:SPOKEN])


def heard(text: str) -> str:
    """Return words as a person typed them, in the one way :func:`spoken` writes."""
    return " ".join(text.lower().replace("-", " ").replace(",", " ").split())
