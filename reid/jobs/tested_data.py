"""What a result was measured on, as its files say it: two results are compared only on the same."""

import re

from yacs.config import CfgNode

from reid.builders import ids_of, tested_names
from reid.config import default_cfg, leaves, portable
from reid.data.datasets import takes_split
from reid.data.fingerprint import names_digest
from reid.data.records import Records
from reid.evaluation.protocol import ids_hash


def data_name(cfg: CfgNode) -> str:
    """Returns the name of the data set, with those of its settings that are not at their defaults.

    It is part of the name of a folder: ``synthetic_preset-tiny``.
    """
    name = tested_names(cfg)[0]
    usual = dict(leaves(default_cfg()))
    prefixes = (f"DATASETS.{name.upper()}.", "DATASETS.SPLIT" if takes_split(name) else "-")
    own = [
        f"{key.rpartition('.')[2].lower()}-{value}"
        for key, value in portable(cfg).items()
        if key.startswith(prefixes) and value != usual.get(key) and key != "DATASETS.CSV.FOLDER"
    ]
    return "_".join([name, *(re.sub(r"[^\w-]+", "-", text) for text in own)])


def people_hash(query: Records, gallery: Records) -> str:
    """Returns a hash of the identities and cameras; see :func:`reid.evaluation.protocol.ids_hash`.

    Args:
        query: Images that are searched for.
        gallery: Images that are searched.
    """
    return ids_hash(*ids_of(query), *ids_of(gallery))


def image_digests(query: Records, gallery: Records) -> dict[str, str]:
    """Returns a digest of the names, sizes, identities and cameras of the images of each side.

    Args:
        query: Images that are searched for.
        gallery: Images that are searched.
    """
    return {"query": names_digest(query), "gallery": names_digest(gallery)}


def measured_on(cfg: CfgNode, query: Records, gallery: Records) -> dict[str, object]:
    """Returns data set, protocol, counts and digests, by the keys that metrics.json has, too.

    Args:
        cfg: The config.
        query: Images that are searched for.
        gallery: Images that are searched.
    """
    return {
        "dataset": data_name(cfg),
        "protocol": cfg.TEST.PROTOCOL,
        "num_gallery": len(gallery),
        "ids": people_hash(query, gallery),
        "data": image_digests(query, gallery),
    }
