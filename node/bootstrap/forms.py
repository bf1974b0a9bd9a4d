"""In which forms results are made, and for whom."""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

from node.bootstrap.reach import source_of
from node.core.form import Wish
from node.settings import Peer, Settings

if TYPE_CHECKING:
    from inference.results.objects import Equipment
    from node.pipeline.forms import Workshop
    from node.store.database import Database


def equipment(settings: Settings) -> "Equipment":
    """Return who we are in results."""
    from inference.results.objects import Equipment

    return Equipment(
        model_name="Overread",
        device_serial_number=settings.node.station_name,
        software_versions=(version("overread"),),
    )


def workshop(settings: Settings, opened: "Database") -> "Workshop":
    """Wire what result objects are made with."""
    from node.pipeline.forms import Workshop
    from node.store.forms import FormStore

    return Workshop(
        equipment=equipment(settings),
        uid_root=settings.node.uid_root,
        source_of=source_of(settings),
        profiles=settings.profiles,
        wishes={
            peer.name: wish(settings, peer) for peer in settings.peer if "archive" in peer.roles
        },
        forms=FormStore(opened),
    )


def wish(settings: Settings, archive: Peer) -> Wish:
    """Return the forms that an archive is given results in.

    What it was seen to refuse is forgotten when it may be another one, or the forms are others.
    """
    names = settings.forms_of(archive)
    profiles = [asdict(settings.profiles[name]) for name in names]
    configured = json.dumps([archive.ae_title, archive.host, archive.port, profiles])
    return Wish(names=names, configured=hashlib.sha256(configured.encode()).hexdigest())
