"""Every sampler by name, each by its own library, on its default and on its best grid and options, with evaluations counted.

A `Setting` is data (family, name, options), so what was chosen can be written down and run again. Peers come from diffusers; where its
interface takes no time grid, the grid alone is put in place of the library's (fractional times and sigmas of the same noise schedule) and
the library's own steps are run on it. iPNDM and rho-AB are ours, no library having them for these models.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from genovision.errors import InputError
from genovision.samplers.schedules import DiscreteVP, make_betas

Denoise = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

PEERS = (
    "ddim",
    "ddpm",
    "deis-1",
    "deis-2",
    "deis-3",
    "dpm++2m",
    "dpm++3m",
    "unipc-2",
    "unipc-3",
    "heun",
    "heun-karras",
    "ipndm",
    "rhoab",
    "deis-tab2",
    "deis-tab3",
    "deis-best",
)
# published at degree 2 and 3, then its options chosen, then each extension by itself, then whatever is best together
OURS = (
    "deis-sn-tab2",
    "deis-sn-tab3",
    "deis-sn-best",
    "deis-sn+grid",
    "deis-sn+affine",
    "deis-sn+first-step",
    "deis-sn+all",
)
# peers on grids that were polished for them on validation noise, which no library does: how much of a lead is the grid's
ON_OUR_GRIDS = ("deis-3+grid", "dpm++2m+grid", "unipc-2+grid", "ipndm+grid")
# their noise is drawn anew on the way, so the distance to the solution from the same noise says nothing about them
STOCHASTIC = frozenset({"ddpm"})

_SCHEDULE_KEYS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type")
# of the weights of Adams and Bashforth on an even grid, newest first (Butcher 2016, section 244)
_EVEN_WEIGHTS = {
    1: (1.0,),
    2: (3 / 2, -1 / 2),
    3: (23 / 12, -16 / 12, 5 / 12),
    4: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


@dataclass(frozen=True)
class Setting:
    """One way to sample. `options` holds plain JSON values; equal settings have equal JSON."""

    family: str
    name: str
    options: Mapping[str, object]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(sorted(self.options.items()))))

    def to_json(self) -> str:
        return json.dumps({"family": self.family, "name": self.name, "options": dict(self.options)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Setting":
        """The reverse of `to_json`; InputError when the text holds no setting of a known family."""
        try:
            found = json.loads(text)
            setting = cls(str(found["family"]), str(found["name"]), found["options"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{text[:80]!r} is no sampler setting: it needs family, name and options.") from error
        if setting.family not in PEERS + OURS + ON_OUR_GRIDS:
            raise InputError(f"there is no sampler {setting.family!r}; the samplers are {', '.join(PEERS + OURS)}.")
        return setting

    def changed(self, **options: object) -> "Setting":
        """The same family with other options, and a name that says them."""
        found = dict(self.options) | options
        if "times" not in options:
            found.pop("times", None)  # they belonged to the options before
        return Setting(self.family, _name(self.family, found), found)

    @property
    def stochastic(self) -> bool:
        return self.family in STOCHASTIC

    @property
    def ends_at_zero(self) -> bool:
        """Whether the sampler runs to tau = 0; else it ends at the first training time, tau = 1 / T, and has that solution to meet."""
        if self.family.removesuffix("+grid") in ("deis-1", "deis-2", "deis-3"):
            return False
        return self.options.get("final_sigmas_type", "zero") == "zero"


def _name(family: str, options: Mapping[str, object]) -> str:
    words = [f"{key}={json.dumps(value)}".replace('"', "") for key, value in sorted(options.items()) if key != "times"]
    return f"{family}({', '.join(words)})"


def _product(family: str, *groups: list[dict]) -> list[Setting]:
    """All combinations of one entry from each group, repeated ones left out."""
    found: dict[str, Setting] = {}
    for parts in itertools.product(*groups):
        options = {key: value for part in parts for key, value in part.items()}
        name = _name(family, options)
        found.setdefault(name, Setting(family, name, options))
    return list(found.values())


def _grids(*names: str) -> list[dict]:
    return [{"grid": name} for name in names]


OWN_GRIDS = ("quadratic", "cubic", "karras", "logsnr")


def settings(family: str, level: int = 2) -> list[Setting]:
    """The settings tried of a family: level 0 its default alone, 1 a short list for expensive denoisers, 2 all (the default comes first).

    Names of grids: `library` is what the library makes of `timestep_spacing` and its sigma options; quadratic and cubic are powers of tau,
    karras even in rho^(1/7), logsnr even in log rho.
    """
    if family not in PEERS + OURS:
        raise InputError(f"there is no sampler {family!r}; the samplers are {', '.join(PEERS + OURS)}.")
    if level not in (0, 1, 2):
        raise InputError(f"level {level} of settings: give 0 (defaults), 1 (a short list) or 2 (all).")
    found = (
        _own_settings(family, level) if family in OURS or family[:8] == "deis-tab" else _peer_settings(family, level)
    )
    return found[:1] if level == 0 else found


def _peer_settings(family: str, level: int) -> list[Setting]:
    full = level == 2
    replaced = _grids("quadratic", "cubic", "karras", "logsnr")
    if family in ("ddim", "ddpm"):
        spacings = ["leading", "trailing", "linspace"] if full else ["leading", "trailing"]
        found = _product(family, [{"grid": "library", "timestep_spacing": s} for s in spacings] + replaced)
        # errors say nothing about DDPM, so one setting stands for it: the one that starts at the first time
        return (
            found if family == "ddim" else [one for one in found if one.options.get("timestep_spacing") == "trailing"]
        )
    if family == "heun":
        spacings = ["linspace", "trailing", "leading"] if full else ["linspace"]
        grids = _grids("quadratic", "cubic", "logsnr")
        return _product(family, [{"grid": "library", "timestep_spacing": s} for s in spacings] + grids)
    if family == "heun-karras":
        return _product(family, [{"grid": "library", "use_karras_sigmas": True}, {"grid": "karras"}])
    if family == "ipndm":
        orders = [{"order": order} for order in ((4, 3, 2) if full else (4, 3))]
        grids = _grids("quadratic", "karras", "cubic", "logsnr", *(["linear"] if full else []))
        return _product(family, orders, grids)
    if family in ("rhoab", "deis-best"):
        orders = [{"solver_order": order} for order in ((4, 3, 2) if full else (4, 3))]
        variables = [{"interpolation_variable": v} for v in (("rho",) if family == "rhoab" else ("t", "log_rho"))]
        return _product(family, orders, variables, _grids(*OWN_GRIDS) if full else replaced)
    spacings = [
        {"grid": "library", "timestep_spacing": s} for s in (("linspace", "trailing") if full else ("linspace",))
    ]
    if full:
        spacings += [{"grid": "library", key: True} for key in ("use_karras_sigmas", "use_exponential_sigmas")]
        spacings += [{"grid": "library", "use_lu_lambdas": True}] if family.startswith("dpm") else []
    lowering = [{"lower_order_final": True}, {"lower_order_final": False}]
    if family.startswith("deis"):
        return _product(family, spacings + replaced, lowering)
    ends = [{"final_sigmas_type": "zero"}, {"final_sigmas_type": "sigma_min"}]
    kinds: list[dict] = [{}]
    if full:
        kinds += (
            [{"solver_type": "heun"}]
            if family == "dpm++2m"
            else [{"solver_type": "bh1"}]
            if family[:5] == "unipc"
            else []
        )
    found = _product(family, spacings + replaced, lowering, ends, kinds)
    if family.startswith("unipc"):
        # at full order, or with bh1, the library's step to sigma 0 divides by zero: no number, or an exception
        found = [
            setting
            for setting in found
            if setting.options["final_sigmas_type"] != "zero"
            or (setting.options["lower_order_final"] and "solver_type" not in setting.options)
        ]
    return found


# --- the settings of our own scheduler ---------------------------------------------------------------------------------------------

_PUBLISHED = {"grid": "quadratic", "interpolation_variable": "t"}
_PUBLISHED_SN = _PUBLISHED | {"normalizer": "scalar", "gamma": 1.0, "clip": 0.005}


def coordinates(family: str, level: int) -> dict[str, list[dict]]:
    """The options of a family that are searched one at a time, each with the changes to try; empty for a family that is listed in full."""
    if (
        family not in ("deis-sn-best", "deis-sn+grid", "deis-sn+affine", "deis-sn+first-step", "deis-sn+all")
        or level == 0
    ):
        return {}
    full = level == 2
    gammas = (0.25, 0.5, 0.75, 1.0, 1.25) if full else (0.5, 1.0)
    normalizers = [{"normalizer": "none", "gamma": 0.0}]
    normalizers += [{"normalizer": kind, "gamma": gamma} for kind in ("scalar", "pixel") for gamma in gammas]
    found = {
        "grid": _grids(*(OWN_GRIDS if full else ("quadratic", "karras", "logsnr"))),
        "order": [{"solver_order": order} for order in ((4, 3, 2, 1) if full else (4, 3))],
        "variable": [{"interpolation_variable": v} for v in (("t", "log_rho", "rho") if full else ("t", "log_rho"))],
        "normalizer": normalizers,
    }
    if family == "deis-sn+grid":
        found["grid"] = _grids("searched")
    if family == "deis-sn+all":
        found["grid"] = found["grid"] + _grids("searched")
        found["affine"] = [{"affine": True}, {"affine": False}]
        found["first_step"] = [{"first_step": True}, {"first_step": False}]
    return found


def starts(family: str, level: int) -> list[Setting]:
    """Where the coordinate search of a family begins."""
    extra: dict[str, object] = {
        "deis-sn+grid": {"grid": "searched"},
        "deis-sn+affine": {"affine": True},
        "deis-sn+first-step": {"first_step": True},
        "deis-sn+all": {"affine": True, "first_step": True, "grid": "searched"},
    }.get(family, {})
    begin = [_PUBLISHED_SN | {"solver_order": 4, "clip": 0.0} | extra]
    # without a normaliser, in log rho on the Karras grid: where diffusers' DEIS is best
    begin.append(
        begin[0] | {"solver_order": 3, "interpolation_variable": "log_rho", "normalizer": "none", "gamma": 0.0}
    )
    begin[1] |= {} if "grid" in extra else {"grid": "karras"}
    if level == 2:
        begin.append(begin[0] | {"solver_order": 3})
        begin += [begin[0] | {"solver_order": order, "interpolation_variable": "log_rho"} for order in (3, 2)]
    return [Setting(family, _name(family, options), options) for options in begin]


def _own_settings(family: str, level: int) -> list[Setting]:
    if family in ("deis-tab2", "deis-tab3"):
        options = _PUBLISHED | {"solver_order": int(family[-1]) + 1}
    elif family in ("deis-sn-tab2", "deis-sn-tab3"):
        options = _PUBLISHED_SN | {"solver_order": int(family[-1]) + 1}
    else:
        return starts(family, level)
    return [Setting(family, _name(family, options), options)]


# --- time grids and the loops -----------------------------------------------------------------------------------------------------


def time_grid(name: str, steps: int, schedule, end: float = 0.0) -> npt.NDArray[np.float64]:
    """tau_N = 1 > ... > tau_0 = end, shape (steps + 1,), for grids that are put in a library's place.

    No node that is evaluated lies below the first training time, 1 / T: of what is below the network knows nothing.
    """
    lowest = 1 / len(schedule.betas)
    if name in ("linear", "quadratic", "cubic"):
        power = {"linear": 1, "quadratic": 2, "cubic": 3}[name]
        tau = np.linspace(1, 0, steps + 1) ** power
        tau[-1] = end
        if end > 0 and tau[-2] <= end:
            return np.append(np.linspace(1, end ** (1 / power), steps + 1)[:-1] ** power, end)
        if end == 0 and tau[-2] < lowest:
            return np.append(np.linspace(1, lowest ** (1 / power), steps) ** power, end)
        return tau
    if name in ("karras", "logsnr"):
        edges = schedule.rho(np.array([1.0, lowest]))
        # with an end above zero the last node is the end; else the nodes reach the lowest trained time and a last step goes to zero
        count = steps if end > 0 else steps - 1
        ramp = np.linspace(0, 1, count + 1) if count else np.zeros(1)
        if name == "karras":
            rho = (edges[0] ** (1 / 7) + ramp * (edges[1] ** (1 / 7) - edges[0] ** (1 / 7))) ** 7
        else:
            rho = np.exp(np.log(edges[0]) + ramp * (np.log(edges[1]) - np.log(edges[0])))
        tau = schedule.tau_of_rho(rho)
        tau[0] = 1.0
        if end > 0:
            tau[-1] = end
            return tau
        return np.append(tau, 0.0)
    raise InputError(f"there is no grid {name!r}; the grids are linear, quadratic, cubic, karras, logsnr.")


class _Counted:
    def __init__(self, denoise: Denoise, limit: int) -> None:
        self.denoise, self.limit, self.calls = denoise, limit, 0

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls > self.limit:
            raise RuntimeError(f"a sampler asked for evaluation {self.calls} of {self.limit}")
        return self.denoise(x, t)


def run(
    setting: Setting,
    denoise: Denoise,
    noise: torch.Tensor,
    nfe: int,
    scheduler_config: Mapping[str, object],
    seed: int = 0,
    statistics: Mapping[str, Mapping[str, object]] | None = None,
) -> tuple[torch.Tensor, int]:
    """Sample with at most `nfe` evaluations of `denoise(x, t)` from noise (batch, *shape) at tau = 1; returns (x_0, evaluations used).

    statistics are what DEIS-SN needs of the denoiser, as fragments of its configuration: `scalar` and `pixel` (normaliser), `affine`,
    `grids`. seed is that of the noise a stochastic sampler draws. Deterministic on a CPU.
    """
    if nfe < 1:
        raise InputError(f"{nfe} evaluations: give 1 or more.")
    counted = _Counted(denoise, nfe)
    loop = _sample_ours if setting.family in OURS else _LOOPS.get(setting.family.removesuffix("+grid"), _sample_ours)
    with torch.no_grad():
        x = loop(setting, counted, noise, nfe, scheduler_config, seed, statistics or {})
    return x, counted.calls


@lru_cache(maxsize=8)
def _schedule(options: str) -> DiscreteVP:
    return DiscreteVP(make_betas(**json.loads(options)))


def schedule_of(config: Mapping[str, object]) -> DiscreteVP:
    """The noise schedule of a diffusers scheduler's configuration."""
    options = schedule_options(config)
    options.pop("prediction_type", None)
    return _schedule(json.dumps(options, sort_keys=True, default=lambda array: np.asarray(array).tolist()))


def schedule_options(config: Mapping[str, object]) -> dict:
    return {key: config[key] for key in _SCHEDULE_KEYS if config.get(key) is not None}


def _times(tau: npt.NDArray[np.float64], schedule, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Network times of the nodes that are evaluated, all but the last."""
    return torch.from_numpy(np.maximum(len(schedule.betas) * tau[:-1] - 1, 0.0)).to(dtype)


def _sample_multistep(setting, denoise, noise, nfe, config, seed, statistics):
    from diffusers.schedulers.scheduling_deis_multistep import DEISMultistepScheduler
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
    from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

    kind = {"deis": DEISMultistepScheduler, "dpm+": DPMSolverMultistepScheduler, "unip": UniPCMultistepScheduler}
    family = setting.family.removesuffix("+grid")
    order = int(family.rstrip("m")[-1])
    options = {key: value for key, value in setting.options.items() if key not in ("grid", "times")}
    scheduler = kind[family[:4]](solver_order=order, **schedule_options(config), **options)
    scheduler.set_timesteps(nfe)
    grid = setting.options["grid"]
    if grid != "library":
        schedule = schedule_of(config)
        tau = np.array(times_of(setting, nfe, config))
        scheduler.timesteps = _times(tau, schedule)
        # UniPC mixes the sigmas with float32 constants
        single = setting.family.startswith("unipc")
        scheduler.sigmas = torch.from_numpy(schedule.rho(tau)).to(torch.float32 if single else torch.float64)
    x = noise
    for t in scheduler.timesteps:
        x = scheduler.step(denoise(x, t), t, x, return_dict=False)[0]
    return x


def _sample_heun(setting, denoise, noise, nfe, config, seed, statistics):
    from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

    steps = (nfe + 1) // 2  # the last step, to sigma 0, takes one evaluation
    options = {key: value for key, value in setting.options.items() if key != "grid"}
    scheduler = HeunDiscreteScheduler(**schedule_options(config), **options)
    scheduler.set_timesteps(steps)
    grid = setting.options["grid"]
    if grid != "library":
        schedule = schedule_of(config)
        tau = time_grid(grid, steps, schedule)
        times, sigmas = _times(tau, schedule), torch.from_numpy(schedule.rho(tau))
        scheduler.timesteps = torch.cat([times[:1], times[1:].repeat_interleave(2)])
        scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    # it works on x / sqrt(A); the same x at tau = 1 as everybody's
    x = noise * float((scheduler.sigmas[0].double() ** 2 + 1) ** 0.5)
    for t in scheduler.timesteps:
        scaled = scheduler.scale_model_input(x, t)
        x = scheduler.step(denoise(scaled.to(noise.dtype), t), t, x, return_dict=False)[0]
    return x.to(noise.dtype)


def _sample_ancestral(setting, denoise, noise, nfe, config, seed, statistics):
    """DDIM and DDPM: their library looks alpha-bar up by whole times, so on another grid the table is made of the grid's own values."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    kind = DDIMScheduler if setting.family == "ddim" else DDPMScheduler
    # clipping is part of ancestral sampling as published, and no part of solving the flow
    clip = bool(config.get("clip_sample", False)) and setting.stochastic
    options = {"clip_sample": clip}
    grid = setting.options["grid"]
    if grid == "library":
        scheduler = kind(**schedule_options(config), **options, timestep_spacing=setting.options["timestep_spacing"])
        scheduler.set_timesteps(nfe)
        times = scheduler.timesteps
    else:
        schedule = schedule_of(config)
        tau = time_grid(grid, nfe, schedule)
        kept = schedule_options({"prediction_type": config.get("prediction_type")})
        scheduler = kind(num_train_timesteps=nfe, **kept, **options)
        scheduler.alphas_cumprod = torch.from_numpy(schedule.alpha_bar(tau[-2::-1]))
        scheduler.set_timesteps(nfe)
        scheduler.timesteps = torch.arange(nfe - 1, -1, -1)
        times = _times(tau, schedule)
    generator = torch.Generator().manual_seed(seed)
    x = noise
    for index, t in zip(scheduler.timesteps, times, strict=True):
        x = scheduler.step(denoise(x, t), int(index), x, generator=generator, return_dict=False)[0]
    return x


def _as_noise(output: torch.Tensor, x: torch.Tensor, alpha_bar: float, prediction_type: object) -> torch.Tensor:
    """The noise prediction in a model's output."""
    alpha, sigma = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if prediction_type in (None, "epsilon"):
        return output
    if prediction_type == "sample":
        return (x - alpha * output) / sigma
    if prediction_type == "v_prediction":
        return alpha * output + sigma * x
    raise InputError(f"prediction_type {prediction_type!r} is none of epsilon, sample, v_prediction.")


def _sample_ipndm(setting, denoise, noise, nfe, config, seed, statistics):
    """Improved PNDM (Zhang & Chen 2023, appendix): DDIM's step with even-grid Adams-Bashforth weights on the last predictions."""
    schedule = schedule_of(config)
    tau = np.array(times_of(setting, nfe, config))
    levels, rho, times = schedule.alpha_bar(tau), schedule.rho(tau), _times(tau, schedule)
    v, history = noise / float(levels[0]) ** 0.5, []
    for index, t in enumerate(times):
        x = v * float(levels[index]) ** 0.5
        found = _as_noise(denoise(x, t), x, float(levels[index]), config.get("prediction_type"))
        history = [found, *history][: setting.options["order"]]
        weights = _EVEN_WEIGHTS[len(history)]
        v = v + float(rho[index + 1] - rho[index]) * sum(w * e for w, e in zip(weights, history, strict=True))
    return v * float(levels[-1]) ** 0.5


def times_of(setting: Setting, nfe: int, config: Mapping[str, object]) -> list[float]:
    """The grid [tau_N .. tau_0] of a setting that does not leave it to its library: its own `times`, or by formula."""
    if "times" in setting.options:
        return list(setting.options["times"])
    # the first interval is free where eps at tau = 1 is known beforehand
    intervals = nfe + bool(setting.options.get("first_step"))
    schedule = schedule_of(config)
    end = 0.0 if setting.ends_at_zero else 1 / len(schedule.betas)
    return time_grid(str(setting.options["grid"]), intervals, schedule, end).tolist()


def scheduler_for(
    setting: Setting, nfe: int, config: Mapping[str, object], statistics: Mapping[str, Mapping[str, object]]
):
    """The DEISSNScheduler of a setting of ours, its times not yet set."""
    from genovision.samplers import DEISSNScheduler

    options = setting.options
    found: dict[str, object] = {
        "solver_order": options["solver_order"],
        "interpolation_variable": options.get("interpolation_variable", "t"),
        "normalizer_clip": options.get("clip", 0.0),
    }
    wanted = [
        kind
        for kind in (options.get("normalizer", "none"), "affine" if options.get("affine") else "none")
        if kind != "none"
    ]
    for kind in wanted:
        if kind not in statistics:
            raise InputError(
                f"sampler {setting.name} needs the statistics {kind!r} of the denoiser; collect them first."
            )
        found |= statistics[kind]
    if options.get("normalizer", "none") != "none":
        found["normalizer_exponent"] = options["gamma"]
    if options.get("first_step"):
        found["analytical_first_step"] = True
    found |= {"time_grids": {str(nfe): times_of(setting, nfe, config)}, "timestep_spacing": "tabulated"}
    return DEISSNScheduler(**schedule_options(config), **found)


def _sample_ours(setting, denoise, noise, nfe, config, seed, statistics):
    from genovision.samplers.sampling import sample

    scheduler = scheduler_for(setting, nfe, config, statistics)
    scheduler.set_timesteps(nfe)
    return sample(denoise, scheduler, noise)


_LOOPS = {
    "ddim": _sample_ancestral,
    "ddpm": _sample_ancestral,
    "heun": _sample_heun,
    "heun-karras": _sample_heun,
    "ipndm": _sample_ipndm,
} | dict.fromkeys(("deis-1", "deis-2", "deis-3", "unipc-2", "unipc-3"), _sample_multistep)
_LOOPS |= dict.fromkeys(("dpm++2m", "dpm++3m"), _sample_multistep)
