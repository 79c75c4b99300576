"""images-proved.md: how images that m2g prepares, and m2g's own, were built and started, from the record of the run."""

from __future__ import annotations

from pathlib import Path

import msgspec
from docs._generate.words import table

OUTCOME = Path(__file__).parents[2] / "tests/image/outcome.json"
_PAGE = """# Images, proved

For this test, `make images` registered a scikit-learn model in MLflow (in skops' format, which the stock MLServer
cannot load), once for each profile that needs an image, and did the steps of [Serve a container
image](../how-to/container-image.md): `m2g render`, `m2g image`, `buildah build --isolation chroot`, `buildah push` to a
registry, `m2g image --record`. The base image was Debian's Python 3.11, and the packages came from an index that wants
a password.

Then each image was pulled by the digest in the overlay. Its first process started as the image and the overlay say,
without a container engine: no way to more rights, a read-only file system except `/tmp`, a network of its own. It was
ready when the overlay's readiness probe passed. `m2g smoke --url` compared its answers with pyfunc's.

"""
_OWN = """
The image of m2g itself was built from [deploy/Dockerfile](../../deploy/Dockerfile) and started in the same way.
Its first process is {first}. Its `m2g render --locked --check` and `m2g validate` passed in the
repository above, which was mounted read-only. Its m2g has the version that the build argument `VERSION` named. The
image has {versions}.
"""
_SEARCHED = """
In all three images, every byte of the manifest, the configuration and each layer was searched. These were nowhere:
{absent}. Seconds are those of a busy machine with two cores.
"""


class Served(msgspec.Struct, frozen=True):
    """The image of a profile. Seconds are `ready` and `ended`, after SIGTERM; `first` is the first process."""

    packages: int
    layers: int
    first: str
    smoke: str
    ready: int
    ended: float


class Own(msgspec.Struct, frozen=True):
    """The image of m2g itself."""

    first: str
    versions: str


class Outcome(msgspec.Struct, frozen=True):
    """tests/image/outcome.json. `absent` is what no image contains."""

    absent: tuple[str, ...]
    profiles: dict[str, Served]
    m2g: Own


def page() -> str:
    """The page."""
    outcome = msgspec.json.decode(OUTCOME.read_bytes(), type=Outcome)
    head = (
        "profile",
        "packages",
        "layers",
        "first process",
        "ready in",
        "m2g smoke --url",
        "ended after SIGTERM",
    )
    rows = [
        (
            f"`{profile}`",
            str(one.packages),
            str(one.layers),
            one.first,
            f"{one.ready} s",
            one.smoke,
            f"{one.ended} s",
        )
        for profile, one in outcome.profiles.items()
    ]
    own = _OWN.format(**msgspec.structs.asdict(outcome.m2g))
    return _PAGE + table(head, rows) + own + _SEARCHED.format(absent=", ".join(outcome.absent))
