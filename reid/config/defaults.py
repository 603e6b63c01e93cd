"""Every config key that exists: its default, its type, what it may be, and what it means.

Keys of the program stand here. Keys of components are read off their signatures, with the meaning
that the Args section of their docstring gives, so that each default is written once.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from yacs.config import CfgNode

from reid.config.checks import LEAST_PIXELS, WARMUP_EPOCHS
from reid.data.augmentation import AUGMENTATIONS
from reid.data.datasets import DATASETS
from reid.data.samplers import SAMPLERS
from reid.engine.optim import OPTIMIZERS, SCHEDULES
from reid.evaluation import METRICS
from reid.evaluation.protocol import CROSS_CAMERA, PROTOCOLS
from reid.evaluation.ranking import CHUNK
from reid.evaluation.retrieval import Expansion, ReRanking
from reid.losses import LOSSES
from reid.modeling import BACKBONES, HEADS, POOLINGS, PROVIDERS, REGULARIZERS
from reid.robustness.adversarial_training import AdversarialTraining
from reid.robustness.attacks import ATTACKS
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.sanity import CHECKS
from reid.utils import environment
from reid.utils.checks import Range
from reid.utils.registry import Registry, Section
from reid.utils.settings import MOST_INT, Setting, settings_of

PRECISIONS = (*environment.PRECISIONS, "auto")
MOST_COUNT = 1_000_000_000
MOST_PIXELS = 8192  # on a side
MOST_FACTOR = 1000  # of a rate, of a loss
MOST_BATCH = 65536
# Every table whose components have settings of their own.
TABLES: tuple[Registry[Any], ...] = (
    BACKBONES,
    PROVIDERS,
    POOLINGS,
    HEADS,
    REGULARIZERS,
    AUGMENTATIONS,
    DATASETS,
    SAMPLERS,
    LOSSES,
    ATTACKS,
    OBJECTIVES,
)


def _bool(default: bool, meaning: str) -> Setting:
    return Setting(default, bool, meaning=meaning)


def _int(default: int, meaning: str, least: int, most: int = MOST_COUNT) -> Setting:
    return Setting(default, int, allowed=Range(least, most), meaning=meaning)


def _float(
    default: float, meaning: str, least: float, most: float = math.inf, **ends: bool
) -> Setting:
    return Setting(default, float, allowed=Range(least, most, **ends), meaning=meaning)


def _word(default: str, meaning: str, *choices: str) -> Setting:
    return Setting(default, str, choices=choices, meaning=meaning)


def _path(default: str, meaning: str) -> Setting:
    return Setting(default, str, path=True, meaning=meaning)


def _many(default: tuple[Any, ...], item: type, meaning: str, **more: Any) -> Setting:
    return Setting(default, item, many=True, meaning=meaning, **more)


def _own_settings() -> dict[str, Setting]:
    """Returns the keys that belong to no component."""
    return {
        "IMPORTS": _many(
            (),
            str,
            "your own parts, loaded before the config is checked: modules (`my_lab.losses`) or"
            " files (`./parts/circle.py`, relative to the config file that names them, or to where"
            " the command runs). This runs their code",
        ),
        "OUTPUT_DIR": _path(
            "outputs/run",
            "everything that a run writes; a folder that holds a run is not overwritten"
            " (`--resume` goes on)",
        ),
        "SEED": _int(
            0,
            "of weights, batches, augmentation and masks; the same command gives the same numbers"
            " on the same torch, kind of processor and number of threads",
            0,
            MOST_INT,
        ),
        **_model_settings(),
        **_input_settings(),
        **_solver_settings(),
        **_test_settings(),
        **_attack_settings(),
    }


def _model_settings() -> dict[str, Setting]:
    return {
        "MODEL.DEVICE": _word(
            "auto",
            "`auto` (CUDA if there is one), `cpu`, `cuda`, `cuda:1`; under torchrun each process"
            " takes the CUDA device of its own number",
        ),
        "MODEL.SYNC_BN": _bool(
            False,
            "batch normalization over the batch of all processes, not each its own; CUDA only; one"
            " process has nothing to synchronize",
        ),
        "MODEL.PRETRAIN_CHOICE": _word(
            "imagenet",
            "start from: `imagenet` (torchvision's IMAGENET1K_V1, timm's weights of a network of"
            " timm, the authors' of ResNet-IBN-a), `path`, `none`",
            "imagenet",
            "path",
            "none",
        ),
        "MODEL.PRETRAIN_PATH": _path(
            "",
            "with `path`: a file with the network's own names (torchvision's for a ResNet), a"
            " checkpoint of ours, or a file of another project; see docs/weights.md",
        ),
        "MODEL.BACKBONE.NAME": Setting(
            "resnet50",
            str,
            choices=BACKBONES.names(),
            beginnings=tuple(f"{name}:" for name in PROVIDERS.names()),
            meaning="the network; see docs/networks.md",
        ),
        "MODEL.POOLING.NAME": _word(
            "avg", "how the last map becomes one vector", *POOLINGS.names()
        ),
        "MODEL.HEAD.NAME": _word(
            "bnneck",
            "what follows; `linear` has no neck; `reduction` is the head of LFM's released code",
            *HEADS.names(),
        ),
        "MODEL.REGULARIZER.NAME": _word(
            "none", "what disturbs feature maps in training", "none", *REGULARIZERS.names()
        ),
        "MODEL.REGULARIZER.STAGES": _many(
            ("conv1",),
            str,
            "where: `input` (the normalized pixels), after `conv1` or another stage of the network"
            " (`stem`, `layer1` ... `layer4` of a ResNet; in others every module by its path, such"
            " as `blocks.3`), on `pool` (the pooled feature). Each gets NAME, or names its own:"
            " `[conv1, pool:dropout]`",
        ),
        "LOSS.NAMES": _many(("ce", "triplet"), str, "the losses", choices=LOSSES.names()),
        "LOSS.WEIGHTS": _many((1.0, 1.0), float, "one for each", allowed=Range(0, MOST_FACTOR)),
        "LOSS.NECK_FEAT": _word(
            "before",
            "which feature losses on `feat` read (`triplet`, `circle`, `center`, ...): the one"
            " `before` the BNNeck, or the one `after` it",
            "before",
            "after",
        ),
    }


def _input_settings() -> dict[str, Setting]:
    return {
        "INPUT.SIZE_TRAIN": _many(
            (256, 128),
            int,
            "height, width in pixels",
            length=2,
            allowed=Range(LEAST_PIXELS, MOST_PIXELS),
        ),
        "INPUT.SIZE_TEST": _many(
            (256, 128),
            int,
            "height, width in pixels",
            length=2,
            allowed=Range(LEAST_PIXELS, MOST_PIXELS),
        ),
        "INPUT.PIXEL_MEAN": _many(
            (0.485, 0.456, 0.406),
            float,
            "RGB in [0, 1], not in levels of 255; the model's first layer subtracts it",
            length=3,
            allowed=Range(0, 1),
        ),
        "INPUT.PIXEL_STD": _many(
            (0.229, 0.224, 0.225),
            float,
            "RGB in [0, 1]; the model divides by it",
            length=3,
            allowed=Range(0, 1, above=True),
        ),
        "INPUT.TRANSFORMS": _many(
            ("flip", "padding", "jitter", "grayscale_patch", "erasing"),
            str,
            "what is done to a training image after it was resized, in this order; each is off"
            " where its probability (or padding) is 0",
            choices=AUGMENTATIONS.names(),
        ),
        "INPUT.DEVICE": _word(
            "auto",
            "where cached images are augmented: `auto` (where the model is), `cpu`, `cuda`; the"
            " pixels are the same",
            "auto",
            "cpu",
            "cuda",
        ),
        "DATASETS.NAMES": _many(
            ("market1501",),
            str,
            "the data set; of several, people and cameras are kept apart and all are trained on",
            choices=DATASETS.names(),
        ),
        "DATASETS.TESTS": _many(
            (),
            str,
            "the data sets to test on, one after the other; empty is NAMES. Training's evaluation"
            " and attacks take these, too",
            choices=DATASETS.names(),
        ),
        "DATASETS.ROOT_DIR": _path("datasets", "see datasets/README.md"),
        "DATASETS.SPLIT": _int(
            0,
            "number of the random split, for data sets without one of their own (`viper`,"
            " `prid2011`, `csv`, `folder`); SEED does not change it",
            0,
        ),
        "DATALOADER.NUM_WORKERS": _int(
            4,
            "processes (threads, to fill a cache) that decode, at most one a core; their number"
            " changes no result",
            0,
            1024,
        ),
        "DATALOADER.CACHE": _word(
            "ram",
            "decode each image once, and keep it at input size in memory (`ram`) or in"
            " OUTPUT_DIR/cache (`disk`); `none` decodes it each time. Several processes share the"
            " file in either case. No result changes. 256x128 takes 96 KiB an image, Market-1501"
            " 3 GiB with query and gallery",
            "none",
            "ram",
            "disk",
        ),
        "DATALOADER.ON_ERROR": _word(
            "raise",
            "an image that cannot be read: `raise` ends the run and names it; `skip` decodes every"
            " image once before the run, and leaves out and lists those that cannot be read",
            "raise",
            "skip",
        ),
        "DATALOADER.SAMPLER": _word(
            "pk",
            "which images make a batch: `pk` (P identities with K images), `shuffle`",
            *SAMPLERS.names(),
        ),
        "DATALOADER.NUM_INSTANCES": _int(4, "K; P is IMS_PER_BATCH / K", 2, 1000),
    }


def _solver_settings() -> dict[str, Setting]:
    return {
        "SOLVER.MAX_EPOCHS": _int(120, "length of the run", 1),
        "SOLVER.IMS_PER_BATCH": _int(
            64,
            "per process: a step sees this many times the number of processes, and BASE_LR is not"
            " scaled by it",
            2,
            MOST_BATCH,
        ),
        "SOLVER.OPTIMIZER_NAME": _word("adam", "the optimizer", *sorted(OPTIMIZERS)),
        "SOLVER.BASE_LR": _float(3.5e-4, "learning rate of the weights", 0, 100, above=True),
        "SOLVER.BIAS_LR_FACTOR": _float(1.0, "rate of the biases / BASE_LR", 0, MOST_FACTOR),
        "SOLVER.BACKBONE_LR_FACTOR": _float(
            1.0, "rate of the backbone / BASE_LR; factors multiply", 0, MOST_FACTOR
        ),
        "SOLVER.HEAD_LR_FACTOR": _float(
            1.0, "rate of what follows the backbone (pooling, head) / BASE_LR", 0, MOST_FACTOR
        ),
        "SOLVER.LAYER_DECAY": _float(
            1.0,
            "rate of a block of the backbone / rate of the next block; 1 is the same rate for all,"
            " 0.65 to 0.8 is usual for ViTs. What is behind the last block has the whole rate, and"
            " the patch embedding the lowest",
            0,
            1,
            above=True,
        ),
        "SOLVER.LOSS_LR_FACTOR": _float(
            1.0, "rate of the parameters that losses have of their own / BASE_LR", 0, MOST_FACTOR
        ),
        "SOLVER.MOMENTUM": _float(0.9, "of sgd", 0, 1, below=True),
        "SOLVER.NESTEROV": _bool(False, "sgd: Nesterov's momentum"),
        "SOLVER.WEIGHT_DECAY": _float(5e-4, "of the weights, also of losses", 0, 1),
        "SOLVER.WEIGHT_DECAY_BIAS": _float(5e-4, "of the biases", 0, 1),
        "SOLVER.NORM_DECAY_FACTOR": _float(
            1.0,
            "weight decay of the weights with one dimension (of normalization, layer scale, GeM's"
            " p) / WEIGHT_DECAY; 0, with WEIGHT_DECAY_BIAS 0, leaves norms and biases without"
            " decay",
            0,
            MOST_FACTOR,
        ),
        "SOLVER.SCHEDULE": _word("multistep", "of the learning rate", *sorted(SCHEDULES)),
        "SOLVER.STEPS": _many(
            (40, 70),
            int,
            "multistep: first epochs, counted from 1, of the lowered rate",
            allowed=Range(1, MOST_COUNT),
        ),
        "SOLVER.GAMMA": _float(0.1, "multistep: factor at each step", 0, 1, above=True),
        "SOLVER.MIN_LR_FACTOR": _float(0.0, "cosine: last rate / BASE_LR", 0, 1),
        "SOLVER.DELAY_EPOCHS": _int(
            0, "cosine: last epoch of the whole rate, from which on it falls", 0
        ),
        "SOLVER.WARMUP_EPOCHS": _int(WARMUP_EPOCHS, "epochs of a rising rate", 0),
        "SOLVER.WARMUP_FACTOR": _float(0.01, "rate at the start of warm-up / BASE_LR", 0, 1),
        "SOLVER.FREEZE_EPOCHS": _int(
            0,
            "epochs at the begin in which the backbone is frozen: its parameters get no gradient,"
            " and its batch normalization uses its running statistics and leaves them as they are",
            0,
        ),
        "SOLVER.EMA_DECAY": _float(
            0.0,
            "decay of an exponential moving average of the weights, which then is evaluated, saved"
            " as the model, and tested; 0.999 averages over about 1000 updates, 0 is off",
            0,
            1,
            below=True,
        ),
        "SOLVER.PRECISION": _word(
            "auto",
            "autocast in training: `fp32`, `bf16`, `fp16`, `auto` (bf16 where the device computes"
            " it, else fp16 on CUDA and fp32 on a CPU)",
            *PRECISIONS,
        ),
        "SOLVER.ACCUMULATE": _int(
            1,
            "batches whose mean gradient makes one update; batch normalization and the triplets see"
            " each batch alone",
            1,
        ),
        "SOLVER.COMPILE": _bool(
            False,
            "compile the model with torch.compile: minutes at the start, faster steps; a CPU needs"
            " a C++ compiler",
        ),
        "SOLVER.DETERMINISTIC": _bool(
            True,
            "CUDA: operations that give the same bits each time, at some cost in speed; the CPU"
            " always does",
        ),
        "SOLVER.CLIP_NORM": _float(0.0, "largest norm of the whole gradient; 0 is off", 0, 1e9),
        "SOLVER.ADVERSARIAL.ENABLED": _bool(
            False,
            "adversarial training (PGD, arXiv:1706.06083): part of each batch is replaced by images"
            " whose feature leaves that of the clean image; a step then costs about 2.5 times as"
            " much",
        ),
        **_part("SOLVER.ADVERSARIAL", AdversarialTraining),
        "SOLVER.VAL_FRACTION": _float(
            0.0,
            "share of train identities held out to pick best.pth; 0 picks it on the test split, as"
            " the field does",
            0,
            0.9,
        ),
        "SOLVER.EVAL_PERIOD": _int(
            10,
            "epochs; 0 is after the last one only, -1 never: `tools/test.py` can do it later",
            -1,
        ),
        "SOLVER.CHECKPOINT_PERIOD": _int(1, "epochs between saves of last.pth", 1),
        "SOLVER.CHECKPOINT_STEPS": _int(
            0, "updates between saves of last.pth inside an epoch; 0 is none", 0
        ),
        "SOLVER.CHECKPOINT_MINUTES": _float(
            30.0, "minutes after a save until the next one inside an epoch; 0 is none", 0
        ),
        "SOLVER.KEEP_LAST": _int(
            1, "earlier checkpoints kept beside last.pth, as last.1.pth, last.2.pth, ...", 0
        ),
        "SOLVER.LOG_PERIOD": _int(20, "steps between readings of the loss", 1),
    }


def _test_settings() -> dict[str, Setting]:
    return {
        "TEST.WEIGHT": _path(
            "", "the checkpoint to test, or a file of another project; see docs/weights.md"
        ),
        "TEST.IMS_PER_BATCH": _int(128, "images at a time", 1, MOST_BATCH),
        "TEST.PRECISION": _word("fp32", "autocast in testing, as SOLVER.PRECISION", *PRECISIONS),
        "TEST.NECK_FEAT": _word(
            "after", "feature `after` or `before` the BNNeck", "after", "before"
        ),
        "TEST.FEAT_NORM": _bool(True, "divide features by their L2 norm"),
        "TEST.FLIP": _bool(False, "average the features of image and mirror image"),
        "TEST.PROTOCOL": _word(
            CROSS_CAMERA,
            "which gallery images of a query's identity it may find: those of another camera"
            " (`cross_camera`), or all but its own picture (`any_camera`, for data whose cameras"
            " are unknown, or that has one); also in training's evaluation and under attack",
            *PROTOCOLS,
        ),
        "TEST.METRIC": _word("euclidean", "the distance", *sorted(METRICS)),
        "TEST.CHUNK": _int(
            CHUNK, "queries ranked at a time; memory is CHUNK x gallery x 4 bytes", 1
        ),
        "TEST.RE_RANKING": _bool(False, "report the k-reciprocal re-ranking beside the plain one"),
        **_part("TEST.RERANK", ReRanking),
        "TEST.AQE.ENABLED": _bool(
            False,
            "report average query expansion beside the plain ranking, and re-ranked if that is on."
            " Its features have length 1, whatever FEAT_NORM says",
        ),
        **_part("TEST.AQE", Expansion),
        "TEST.VERIFICATION": _bool(
            False,
            "measure how well a pair of images is told to be of one person or of two: thresholds,"
            " probabilities, people who are not in the gallery; also under attack; see"
            " docs/verification.md",
        ),
        "TEST.SAVE_FEATURES": _bool(
            False,
            "write features.npz beside the results, which `tools/test.py --features` evaluates"
            " without model or images",
        ),
    }


def _attack_settings() -> dict[str, Setting]:
    return {
        "ATTACK.NAMES": _many(
            ("noise", "fgsm-fna", "pgd-fna", "pgd-margin", "pgd-smooth_ap"),
            str,
            "what `tools/attack.py` runs: `METHOD-OBJECTIVE` (objectives joined by + follow each"
            " other), `noise`, or the presets `ama`, `cea`,"
            " `lta`, `odfa16`, `standard`, `strong`; see docs/robustness.md",
        ),
        "ATTACK.EPS_255": _many(
            (),
            float,
            "budgets in levels of an 8-bit pixel; empty is a preset's own, and 2, 4, 8 for"
            " everything else",
            allowed=Range(0, 255),
        ),
        "ATTACK.SIDE": _word(
            "query",
            "which side is perturbed: `query`, `gallery` (its images of people who are asked for)",
            "query",
            "gallery",
        ),
        "ATTACK.NUM_QUERIES": _int(0, "evenly spaced part of the queries; 0 is all", 0),
        "ATTACK.IMS_PER_BATCH": _int(
            64, "images at a time; random numbers do not depend on it", 1, MOST_BATCH
        ),
        "ATTACK.PRECISION": _word(
            "fp32", "autocast while attacking and evaluating, as SOLVER.PRECISION", *PRECISIONS
        ),
        "ATTACK.SIZE": _many(
            (0, 0),
            int,
            "height, width of the pixels that are perturbed; the model's embedding resizes them."
            " 0, 0 is INPUT.SIZE_TEST",
            length=2,
            allowed=Range(0, MOST_PIXELS),
        ),
        "ATTACK.ON_GRID": _bool(
            True, "round attacked images to 8 bits, within the budget, before they are evaluated"
        ),
        "ATTACK.CHOOSE_BY": _word(
            "auto",
            "what the starts of an attack are compared by: `loss`, `ap` (the AP of the ranking), or"
            " `auto`, AP where the objective knows the ranking (`margin`, `smooth_ap`)",
            "auto",
            "loss",
            "ap",
        ),
        "ATTACK.EARLY_STOP": _bool(
            True,
            "leave a query alone as soon as so many wrong images rank before all right ones that"
            " its AP can fall by 0.0005 at most; for objectives that know the ranking, where the"
            " plain ranking of the attacked query is all that is scored, by the model attacked",
        ),
        "ATTACK.EOT": _int(
            1,
            "for models that are random at test time: losses and gradients are the mean of so many"
            " draws, each with a seed of its own; 1 takes the model as it is",
            1,
            10_000,
        ),
        "ATTACK.STEP_CURVE": _many(
            (1, 5, 20),
            int,
            "numbers of steps at which attacks that take steps are run besides, at their largest"
            " budget; steps are 2.5 eps in all, and 0.1 eps at least",
            allowed=Range(1, 100_000),
        ),
        "ATTACK.CORRUPTIONS": _many(
            (), str, "natural corruptions, or `all`", choices=("all", *CORRUPTIONS.names())
        ),
        "ATTACK.SEVERITIES": _many((1, 2, 3, 4, 5), int, "of the corruptions", allowed=Range(1, 5)),
        "ATTACK.SANITY": _bool(
            False, "check the attack and the gradients as well, as `--sanity` does; for studies"
        ),
        "ATTACK.SANITY_QUERIES": _int(64, "evenly spaced queries that the checks work on", 2),
        "ATTACK.SANITY_CHECKS": _many(
            (),
            str,
            "those of the checks that are run; empty is all of them. `ranking` alone takes"
            " about as long as the attacks on the same queries",
            choices=CHECKS,
        ),
        "ATTACK.SAVE_IMAGES": _int(
            0,
            "images kept of each attack, without loss, with a contact sheet for queries; -1 is all",
            -1,
        ),
        "ATTACK.SAVE_AS": _word("png", "form of these images", "png", "npz"),
    }


def _part(section: str, component: Any) -> dict[str, Setting]:
    """Returns the settings of a part that has a section of its own and no table."""
    return {f"{section}.{name.upper()}": s for name, s in settings_of(component).items()}


def known_settings() -> dict[str, Setting]:
    """Returns every key that exists, in the order in which they are explained.

    Raises:
        RuntimeError: A table's list of a section's own keys is not what stands here.
    """
    found = _own_settings()
    for section in {id(t.section): t.section for t in TABLES}.values():
        if section is not None:
            _check_own_keys(section, found)
    for table in TABLES:
        for name in table.names():
            found.update(_component_settings(table, name))
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _component_settings(table: Registry[Any], name: str) -> Iterator[tuple[str, Setting]]:
    section = table.section
    assert section is not None
    for argument, setting in table.settings(name).items():
        yield f"{section.name}.{section.key(name, argument)}", setting


def _check_own_keys(section: Section, found: Mapping[str, Setting]) -> None:
    prefix = f"{section.name}."
    own = {
        key.removeprefix(prefix)
        for key in found
        if key.startswith(prefix) and "." not in key.removeprefix(prefix)
    }
    if own != section.own_keys:
        raise RuntimeError(f"{section.name} has the keys {sorted(own ^ section.own_keys)} in one of"
                           " its table and reid/config/defaults.py, not in both")  # fmt: skip


SECTIONS = (
    "IMPORTS",
    "OUTPUT_DIR",
    "SEED",
    "MODEL",
    "INPUT",
    "DATASETS",
    "DATALOADER",
    "LOSS",
    "SOLVER",
    "TEST",
    "ATTACK",
)


def _place(key: str) -> int:
    """Sorts keys by section; within a section keys stay in the order in which they were made."""
    return SECTIONS.index(key.partition(".")[0])


def default_cfg() -> CfgNode:
    """Builds the config that holds every key with its default."""
    return as_cfg({key: setting.default for key, setting in known_settings().items()})


def as_cfg(values: Mapping[str, Any]) -> CfgNode:
    """Builds a config from values by dotted key."""
    cfg = CfgNode()
    for key, value in values.items():
        *sections, name = key.split(".")
        node = cfg
        for section in sections:
            if section not in node:
                node[section] = CfgNode()
            node = node[section]
        node[name] = value
    return cfg
