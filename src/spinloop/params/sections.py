"""Every section of `params.yaml` and what it must look like."""

from pydantic import BaseModel

from spinloop.params.annotations import CropsParams, MergeParams, RawParams, SourcesParams, ValidateParams
from spinloop.params.body import BodyParams
from spinloop.params.evaluation import EvaluateParams, ReportParams
from spinloop.params.fitting import FitInitialParams, FittingParams
from spinloop.params.lifting import LifterParams
from spinloop.params.mirror import CocoParams, LspetParams, LspParams, MpiiParams, Pw3dParams
from spinloop.params.mirror_lab import H36mParams, MpiInf3dhpParams
from spinloop.params.prior import PriorParams
from spinloop.params.runtime import NeedsParams, RuntimeParams
from spinloop.params.training import NetworkParams, SettingsParams, TrainParams, WatchParams

SECTIONS: dict[str, type[BaseModel]] = {
    "runtime": RuntimeParams,
    "body": BodyParams,
    "prior": PriorParams,
    "mirror_coco": CocoParams,
    "mirror_pw3d": Pw3dParams,
    "mirror_h36m": H36mParams,
    "mirror_mpi_inf_3dhp": MpiInf3dhpParams,
    "mirror_lsp": LspParams,
    "mirror_lspet": LspetParams,
    "mirror_mpii": MpiiParams,
    "raw": RawParams,
    "sources": SourcesParams,
    "merge": MergeParams,
    "validate": ValidateParams,
    "crops": CropsParams,
    "fitting": FittingParams,
    "lifter": LifterParams,
    "fit_initial": FitInitialParams,
    "evaluate": EvaluateParams,
    "report": ReportParams,
    "network": NetworkParams,
    "train": TrainParams,
    "watch": WatchParams,
    "settings": SettingsParams,
    "needs": NeedsParams,
}
"""Section → its model. Those of `raw`, `sources`, `settings` and `needs` hold items that a user names.

A stage takes the models of its own sections from where they are declared, not from here: so an edit of the
others makes nothing stale that does not read them.
"""
