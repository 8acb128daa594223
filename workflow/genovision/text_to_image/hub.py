"""Published models behind the interfaces of the desk's: diffusers' text-to-image pipelines, transformers' image-text-to-text models.

A model is a folder as save_pretrained writes it, or its name on the hub. Weights are read from safetensors only and no code of a model is
run. Both need the packages of the environment alone; what a model's own tokeniser asks for beyond them (such as sentencepiece) is said.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from genovision.errors import InputError

Images = npt.NDArray[np.uint8]
Model = TypeVar("Model")

QUESTION = "Describe this image."
GENERATOR = "a diffusers text-to-image pipeline (a folder with model_index.json)"
CAPTIONER = "a transformers image-text-to-text model (a folder with config.json and a processor)"


def _load(model: str, kind: str, index: str, load: Callable[[], Model]) -> Model:
    """`load()`, every failure told in one sentence: what was looked for, and what to put where."""
    folder = Path(model)
    if folder.exists() and not (folder / index).is_file():
        raise InputError(f"{model} is not {kind}: it has no {index}.")
    try:
        return load()
    except ImportError as error:
        raise InputError(f"{model} needs a package that is not installed ({_first_line(error)}).") from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        if folder.exists():
            raise InputError(f"{model} is not {kind}, or not a whole one ({_first_line(error)}).") from error
        if model.startswith((".", "/", "~")) or model.count("/") > 1:
            raise InputError(f"{model}: there is no such folder; put {kind} there.") from error
        raise InputError(
            f"{model} could not be fetched from the hub ({_first_line(error)}); where there is no network, fetch it elsewhere with "
            f"`hf download {model}`, put the folder here and name its path: {kind} is needed."
        ) from error


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:200]


def _digest(model: str, facts: dict) -> str:
    """What stands for a model in a cache: a folder's files by name and size with its small ones by content, a hub name by itself."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    folder = Path(model)
    if not folder.is_dir():
        digest.update(model.encode())
        return digest.hexdigest()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(folder)} {path.stat().st_size}".encode())
        with open(path, "rb") as handle:
            digest.update(handle.read(1 << 20))
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of the libraries, one per image."""
    from diffusers.utils import logging

    was = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was:
            logging.enable_progress_bar()


class HubGenerator:
    """A diffusers pipeline: `generate(prompts, seeds)`.

    steps, guidance, size (pixels of both sides): None leaves what the pipeline has; precision: float32, bfloat16 or float16
    revision: of a hub name, for the same weights every time
    """

    def __init__(
        self,
        model: str,
        *,
        steps: int | None = None,
        guidance: float | None = None,
        size: int | None = None,
        precision: str = "float32",
        device: str = "cpu",
        revision: str | None = None,
    ):
        import torch
        from diffusers import AutoPipelineForText2Image

        self._torch, self.model = torch, model
        kind = _type(torch, precision)
        with _quiet():
            self.pipeline = _load(
                model,
                GENERATOR,
                "model_index.json",
                lambda: AutoPipelineForText2Image.from_pretrained(
                    model,
                    dtype=kind,
                    use_safetensors=True,
                    local_files_only=Path(model).exists(),
                    revision=revision,
                ),
            ).to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        given = {"num_inference_steps": steps, "guidance_scale": guidance, "height": size, "width": size}
        self.options = {name: value for name, value in given.items() if value is not None}
        self.digest = _digest(model, self.options | {"precision": precision, "revision": revision})
        self.cuts: dict[str, str] = {}

    def generate(self, prompts: Sequence[str], seeds: Sequence[int]) -> Images:
        """Images (N, H, W, 3) uint8, one for each prompt and seed; the noise of an image is drawn from its seed alone."""
        if len(prompts) != len(seeds):
            raise ValueError(f"there are {len(prompts)} prompts and {len(seeds)} seeds")
        if not prompts:
            return np.empty((0, 0, 0, 3), dtype=np.uint8)
        self._tell_cuts(prompts)
        # on the CPU, so that a seed gives the same noise on every device
        generators = [self._torch.Generator("cpu").manual_seed(int(seed)) for seed in seeds]
        with self._torch.inference_mode():
            answer = self.pipeline(prompt=list(prompts), generator=generators, output_type="np", **self.options)
        return np.rint(np.clip(answer.images, 0, 1) * 255).astype(np.uint8)

    def _tell_cuts(self, prompts: Sequence[str]) -> None:
        tokenizer = getattr(self.pipeline, "tokenizer", None)
        longest = getattr(tokenizer, "model_max_length", None)
        if tokenizer is None or not longest or longest > 1 << 20:
            return
        for text in dict.fromkeys(prompts):
            count = len(tokenizer(text, truncation=False, verbose=False)["input_ids"])
            if count > longest:
                self.cuts[text] = f"the prompt {text[:40]!r} has {count} tokens and {self.model} reads {longest}"


class HubCaptioner:
    """A transformers image-text-to-text model: `caption(images)`, greedy, so that an image has one caption.

    question: asked of models that take a chat; others are given no text and describe the image
    tokens:   of a caption at most. The length of captions moves precision: keep it when models are compared
    """

    def __init__(
        self,
        model: str,
        *,
        question: str = QUESTION,
        tokens: int = 200,
        batch: int = 8,
        precision: str = "float32",
        device: str = "cpu",
        revision: str | None = None,
    ):
        import torch
        from transformers import AutoModelForImageTextToText, AutoProcessor

        self._torch, self.model, self.question = torch, model, question
        self.tokens, self.batch, self.device, self.type = tokens, batch, device, _type(torch, precision)
        common: dict[str, Any] = {"local_files_only": Path(model).exists(), "revision": revision or "main"}
        common["trust_remote_code"] = False

        def load():
            return (
                AutoProcessor.from_pretrained(model, **common),
                AutoModelForImageTextToText.from_pretrained(model, use_safetensors=True, dtype=self.type, **common),
            )

        self.processor, network = _load(model, CAPTIONER, "config.json", load)
        self.network = network.to(device).eval()
        self.digest = _digest(model, {"question": question, "tokens": tokens, "precision": precision})

    def caption(self, images: Images) -> list[str]:
        """Texts of images (N, H, W, 3) uint8, white space at their ends removed; one can be empty."""
        from PIL import Image

        texts = []
        for start in range(0, len(images), self.batch):
            pictures = [Image.fromarray(image) for image in images[start : start + self.batch]]
            inputs = self._inputs(pictures).to(self.device)
            if "pixel_values" in inputs:
                inputs["pixel_values"] = inputs["pixel_values"].to(self.type)
            with self._torch.inference_mode():
                answer = self.network.generate(**inputs, max_new_tokens=self.tokens, do_sample=False, num_beams=1)
            asked = inputs.get("input_ids")
            if asked is not None and self._torch.equal(answer[:, : asked.shape[1]], asked):
                answer = answer[:, asked.shape[1] :]  # decoder-only models repeat what they were asked
            texts += [text.strip() for text in self.processor.batch_decode(answer, skip_special_tokens=True)]
        return texts

    def _inputs(self, pictures: list):
        if getattr(self.processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": self.question}]
            chat = [{"role": "user", "content": content}]
            text = self.processor.apply_chat_template(chat, add_generation_prompt=True)
            return self.processor(
                images=pictures, text=[text] * len(pictures), return_tensors="pt", padding=True, padding_side="left"
            )
        return self.processor(images=pictures, return_tensors="pt")


def _type(torch, precision: str):
    if precision not in ("float32", "bfloat16", "float16"):
        raise InputError(f"precision {precision!r}: choose float32, bfloat16 or float16.")
    return getattr(torch, precision)
