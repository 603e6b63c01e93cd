"""Every config key that exists, its default, and what it may be."""

import inspect
from collections.abc import Callable
from typing import Any

from yacs.config import CfgNode

from reid.data.datasets import DATASETS
from reid.engine.optim import OPTIMIZERS, SCHEDULES
from reid.evaluation import METRICS
from reid.evaluation.ranking import CHUNK
from reid.evaluation.retrieval import Expansion, ReRanking
from reid.losses import LOSSES
from reid.modeling import BACKBONES, HEADS, REGULARIZERS
from reid.robustness.adversarial_training import AdversarialTraining
from reid.robustness.ball import NORMS
from reid.robustness.corruptions import CORRUPTIONS
from reid.robustness.objectives import OBJECTIVES
from reid.robustness.optimizers import OPTIMIZERS as ATTACK_OPTIMIZERS
from reid.utils.registry import Registry


def hyperparameters(component: Callable[..., Any]) -> CfgNode:
    """Turns a signature into a config node: every argument with a default is a key."""
    params = inspect.signature(component).parameters.values()
    return CfgNode({p.name.upper(): p.default for p in params if p.default is not p.empty})


def _nodes(registry: Registry[Any]) -> dict[str, CfgNode]:
    nodes = {name.upper(): hyperparameters(registry[name]) for name in registry.names()}
    return {name: node for name, node in nodes.items() if node}


def default_cfg() -> CfgNode:
    """Builds the config that holds every key with its default."""
    c = CfgNode()
    c.OUTPUT_DIR = "outputs/run"  # everything a run writes
    c.SEED = 0

    c.MODEL = CfgNode()
    c.MODEL.DEVICE = "auto"  # auto (cuda if there is one), cpu, cuda, cuda:1
    c.MODEL.SYNC_BN = False  # batch normalization over the batch of all processes; CUDA
    c.MODEL.PRETRAIN_CHOICE = "imagenet"  # imagenet (by torchvision), path, none
    c.MODEL.PRETRAIN_PATH = ""  # with PRETRAIN_CHOICE path: a torchvision state dict
    c.MODEL.BACKBONE = CfgNode({"NAME": "resnet50", **_nodes(BACKBONES)})
    c.MODEL.HEAD = CfgNode({"NAME": "bnneck", **_nodes(HEADS)})
    c.MODEL.REGULARIZER = CfgNode({"NAME": "none", "STAGES": ("conv1",), **_nodes(REGULARIZERS)})

    c.INPUT = CfgNode()
    c.INPUT.SIZE_TRAIN = (256, 128)  # height, width in pixels
    c.INPUT.SIZE_TEST = (256, 128)
    c.INPUT.PIXEL_MEAN = (0.485, 0.456, 0.406)  # RGB in [0, 1]
    c.INPUT.PIXEL_STD = (0.229, 0.224, 0.225)
    c.INPUT.FLIP_PROB = 0.5
    c.INPUT.PADDING = 10  # pixels of black on each side before the random crop
    c.INPUT.ERASING_PROB = 0.5
    c.INPUT.ERASING_AREA = (0.02, 0.4)  # share of the image
    c.INPUT.ERASING_ASPECT = (0.3, 1 / 0.3)  # height / width
    c.INPUT.ERASING_FILL = (0.485, 0.456, 0.406)  # RGB in [0, 1]
    c.INPUT.JITTER_PROB, c.INPUT.JITTER = 0.0, (0.15, 0.15, 0.1)  # brightness, contrast, saturation
    c.INPUT.GRAYSCALE_PATCH_PROB = 0.0
    c.INPUT.GRAYSCALE_PATCH_AREA = (0.02, 0.4)  # share of the image
    c.INPUT.GRAYSCALE_PATCH_ASPECT = (0.3, 1 / 0.3)  # height / width
    c.INPUT.DEVICE = "auto"  # that augments: auto (where the model is), cpu, cuda

    c.DATASETS = CfgNode()
    c.DATASETS.NAMES = ("market1501",)
    c.DATASETS.ROOT_DIR = "datasets"
    for name, node in _nodes(DATASETS).items():
        c.DATASETS[name] = node

    c.DATALOADER = CfgNode()
    c.DATALOADER.NUM_WORKERS = 4
    c.DATALOADER.CACHE = "ram"  # decoded images: none, ram, disk (OUTPUT_DIR/cache)
    c.DATALOADER.SAMPLER = "pk"  # pk, shuffle
    c.DATALOADER.NUM_INSTANCES = 4  # K; P = IMS_PER_BATCH / K

    c.SOLVER = CfgNode()
    c.SOLVER.MAX_EPOCHS = 120
    c.SOLVER.IMS_PER_BATCH = 64  # per process
    c.SOLVER.OPTIMIZER_NAME = "adam"  # adam, adamw, sgd
    c.SOLVER.BASE_LR = 3.5e-4
    c.SOLVER.BIAS_LR_FACTOR = 1.0
    c.SOLVER.MOMENTUM = 0.9  # sgd only
    c.SOLVER.WEIGHT_DECAY = 5e-4
    c.SOLVER.WEIGHT_DECAY_BIAS = 5e-4
    c.SOLVER.SCHEDULE = "multistep"  # multistep, cosine
    c.SOLVER.STEPS = (40, 70)  # multistep: first epochs (1-based) of the lowered rate
    c.SOLVER.GAMMA = 0.1  # multistep: factor at each step
    c.SOLVER.MIN_LR_FACTOR = 0.0  # cosine: last rate / BASE_LR
    c.SOLVER.WARMUP_EPOCHS = 10
    c.SOLVER.WARMUP_FACTOR = 0.01  # rate before the first epoch / BASE_LR
    c.SOLVER.PRECISION = "auto"  # fp32, bf16, fp16, auto (bf16 where the device has it)
    c.SOLVER.ACCUMULATE = 1  # batches whose mean gradient makes one update
    c.SOLVER.COMPILE = False  # torch.compile the model
    c.SOLVER.DETERMINISTIC = True  # the same bits each time on CUDA too, at some cost in speed
    c.SOLVER.CLIP_NORM = 0.0  # largest norm of the whole gradient; 0 = off
    c.SOLVER.ADVERSARIAL = CfgNode({"ENABLED": False, **hyperparameters(AdversarialTraining)})
    c.SOLVER.VAL_FRACTION = 0.0  # share of train identities held out to pick the best; 0 = test set
    c.SOLVER.EVAL_PERIOD = 10  # epochs; 0 = only after the last one
    c.SOLVER.CHECKPOINT_PERIOD = 1  # epochs between saves of last.pth; the last epoch always saves
    c.SOLVER.LOG_PERIOD = 20  # steps between log lines when not on a terminal

    c.LOSS = CfgNode({"NAMES": ("ce", "triplet"), "WEIGHTS": (1.0, 1.0), **_nodes(LOSSES)})

    c.TEST = CfgNode()
    c.TEST.WEIGHT = ""  # checkpoint to test; "" = none
    c.TEST.IMS_PER_BATCH = 128
    c.TEST.PRECISION = "fp32"
    c.TEST.NECK_FEAT = "after"  # after, before the BNNeck
    c.TEST.FEAT_NORM = True  # L2-normalise features
    c.TEST.FLIP = False  # average the features of image and mirror image
    c.TEST.METRIC = "euclidean"
    c.TEST.CHUNK = CHUNK  # queries ranked at a time; memory is CHUNK x gallery distances
    c.TEST.RE_RANKING = False
    c.TEST.RERANK = hyperparameters(ReRanking)
    c.TEST.AQE = CfgNode({"ENABLED": False, **hyperparameters(Expansion)})
    c.TEST.SAVE_FEATURES = False  # OUTPUT_DIR/features.npz, for test.py --features
    c.ATTACK = _attack_section()
    return c


def _attack_section() -> CfgNode:
    a = CfgNode()
    # presets (ama, cea, lta, odfa16, standard, strong), noise, or OPTIMIZER-OBJECTIVE
    a.NAMES = ("noise", "fgsm-fna", "mi_fgsm-metric", "pgd-sma", "pgd-fna")
    a.EPS_255 = ()  # budgets in levels of a pixel; () = a preset's own, else 2, 4, 8
    a.SIDE = "query"  # which side is perturbed: query, gallery
    a.NUM_QUERIES = 0  # evenly spaced part of the queries; 0 = all
    a.IMS_PER_BATCH = 64
    a.PRECISION = "fp32"
    a.SIZE = (0, 0)  # height, width of the pixels that are attacked; 0, 0 = INPUT.SIZE_TEST
    a.ON_GRID = True  # round attacked images to 8 bits
    a.STEP_CURVE = (1, 5, 20)  # numbers of steps at which iterated attacks are run besides
    a.CORRUPTIONS = ()  # natural corruptions, or all
    a.SEVERITIES = (1, 2, 3, 4, 5)
    a.SANITY_QUERIES = 64  # that --sanity works on
    a.SAVE_IMAGES = 0  # attacked images kept of each attack; -1 = all
    a.SAVE_AS = "png"  # png, npz
    for name, node in {**_nodes(ATTACK_OPTIMIZERS), **_nodes(OBJECTIVES)}.items():
        a[name] = node
    return a


def choices() -> dict[str, list[str]]:
    """Returns the keys whose value is one of a list of names."""
    return {
        "MODEL.BACKBONE.NAME": BACKBONES.names(),
        "MODEL.HEAD.NAME": HEADS.names(),
        "MODEL.REGULARIZER.NAME": ["none", *REGULARIZERS.names()],
        "MODEL.PRETRAIN_CHOICE": ["imagenet", "path", "none"],
        "DATASETS.NAMES": DATASETS.names(),
        "INPUT.DEVICE": ["auto", "cpu", "cuda"],
        "DATALOADER.CACHE": ["none", "ram", "disk"],
        "DATALOADER.SAMPLER": ["pk", "shuffle"],
        "SOLVER.OPTIMIZER_NAME": sorted(OPTIMIZERS),
        "SOLVER.SCHEDULE": sorted(SCHEDULES),
        "SOLVER.PRECISION": ["fp32", "bf16", "fp16", "auto"],
        "TEST.PRECISION": ["fp32", "bf16", "fp16", "auto"],
        "TEST.NECK_FEAT": ["after", "before"],
        "TEST.METRIC": sorted(METRICS),
        "LOSS.NAMES": LOSSES.names(),
        "ATTACK.SIDE": ["query", "gallery"],
        "ATTACK.PRECISION": ["fp32", "bf16", "fp16", "auto"],
        "ATTACK.CORRUPTIONS": ["all", *CORRUPTIONS.names()],
        "ATTACK.SAVE_AS": ["png", "npz"],
        "ATTACK.PGD.NORM": sorted(NORMS),
        "ATTACK.NOISE.NORM": sorted(NORMS),
    }


# key -> (least, most); None is no bound. Components check their own arguments.
BOUNDS: dict[str, tuple[float, float | None]] = {
    "SEED": (0, None),
    "DATALOADER.NUM_WORKERS": (0, None),
    "SOLVER.MAX_EPOCHS": (1, None),
    "SOLVER.IMS_PER_BATCH": (1, None),
    "SOLVER.ACCUMULATE": (1, None),
    "SOLVER.BASE_LR": (0, None),
    "SOLVER.WEIGHT_DECAY": (0, None),
    "SOLVER.WEIGHT_DECAY_BIAS": (0, None),
    "SOLVER.WARMUP_EPOCHS": (0, None),
    "SOLVER.WARMUP_FACTOR": (0, 1),
    "SOLVER.MIN_LR_FACTOR": (0, 1),
    "SOLVER.CLIP_NORM": (0, None),
    "SOLVER.ADVERSARIAL.EPS_255": (0, 255),
    "SOLVER.ADVERSARIAL.STEP": (0, None),
    "SOLVER.ADVERSARIAL.STEPS": (1, None),
    "SOLVER.ADVERSARIAL.SHARE": (0, 1),
    "SOLVER.VAL_FRACTION": (0, 0.9),
    "SOLVER.EVAL_PERIOD": (0, None),
    "SOLVER.CHECKPOINT_PERIOD": (1, None),
    "SOLVER.LOG_PERIOD": (1, None),
    "TEST.IMS_PER_BATCH": (1, None),
    "TEST.CHUNK": (1, None),
    "TEST.AQE.K": (0, None),
    "TEST.AQE.ALPHA": (0, None),
    "TEST.RERANK.K1": (1, None),
    "TEST.RERANK.K2": (1, None),
    "TEST.RERANK.LAMBDA_VALUE": (0, 1),
    "ATTACK.EPS_255": (0, 255),
    "ATTACK.NUM_QUERIES": (0, None),
    "ATTACK.IMS_PER_BATCH": (1, None),
    "ATTACK.SIZE": (0, None),
    "ATTACK.STEP_CURVE": (1, None),
    "ATTACK.SEVERITIES": (1, 5),
    "ATTACK.SANITY_QUERIES": (2, None),
    "ATTACK.SAVE_IMAGES": (-1, None),
}


# Tuples of any length, with an item that shows their type; every other tuple keeps the length of
# its default.
LISTS: dict[str, Any] = {
    "DATASETS.NAMES": "",
    "LOSS.NAMES": "",
    "LOSS.WEIGHTS": 0.0,
    "SOLVER.STEPS": 0,
    "MODEL.REGULARIZER.STAGES": "",
    "ATTACK.NAMES": "",
    "ATTACK.EPS_255": 0.0,
    "ATTACK.STEP_CURVE": 0,
    "ATTACK.CORRUPTIONS": "",
    "ATTACK.SEVERITIES": 0,
}
