"""The config section that attacks and their objectives share."""

from reid.utils.registry import Section

ATTACK = Section(
    "ATTACK",
    (
        "NAMES",
        "EPS_255",
        "SIDE",
        "NUM_QUERIES",
        "IMS_PER_BATCH",
        "PRECISION",
        "SIZE",
        "ON_GRID",
        "CHOOSE_BY",
        "EARLY_STOP",
        "EOT",
        "STEP_CURVE",
        "CORRUPTIONS",
        "SEVERITIES",
        "SANITY",
        "SANITY_QUERIES",
        "SANITY_CHECKS",
        "SAVE_IMAGES",
        "SAVE_AS",
    ),
)
