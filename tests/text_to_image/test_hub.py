"""Published models behind the desk's interfaces: tiny random ones, saved to disk in the layouts of diffusers and transformers."""

import json

import numpy as np
import pytest
from text_to_image.models import WORDS, dots

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from genovision.errors import InputError  # noqa: E402
from genovision.text_to_image.hub import HubCaptioner, HubGenerator  # noqa: E402


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A Stable Diffusion of two kinds of blocks that nobody trained."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("pipeline")
    letters = [chr(c) for c in range(97, 123)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: n for n, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)
    torch.manual_seed(0)
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=4,
    )
    vae = AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, sample_size=16)
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False, set_alpha_to_one=False)
    StableDiffusionPipeline(
        vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def describer(tmp_path_factory):
    """A BLIP that nobody trained."""
    from transformers import BertTokenizerFast, BlipConfig, BlipForConditionalGeneration, BlipProcessor
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    folder = tmp_path_factory.mktemp("describer")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BlipConfig(
        text_config=size
        | {
            "vocab_size": 5 + len(WORDS),
            "encoder_hidden_size": 16,
            "bos_token_id": 2,
            "sep_token_id": 3,
            "eos_token_id": 3,
            "pad_token_id": 0,
            "initializer_range": 0.5,
        },
        vision_config=size | {"image_size": 16, "patch_size": 8, "initializer_range": 0.5},
    )
    model = BlipForConditionalGeneration(config)
    with torch.no_grad():
        model.text_decoder.cls.predictions.bias[:5] = -100  # it says words, and as many as it may
    model.save_pretrained(folder)
    images = BlipImageProcessorPil(size={"height": 16, "width": 16})
    BlipProcessor(images, tokenizer).save_pretrained(folder)
    return folder


def test_a_pipeline_generates_from_seeds(pipeline):
    model = HubGenerator(str(pipeline), steps=2, guidance=2.0)
    images = model.generate(["a dot", "b", "a dot"], [1, 2, 1])
    assert images.shape[0] == 3 and images.shape[3] == 3 and images.dtype == np.uint8
    assert np.abs(images[0].astype(int) - images[2]).max() <= 1 and not np.array_equal(images[0], images[1])
    alone = model.generate(["b"], [2])
    assert np.abs(alone[0].astype(int) - images[1]).max() <= 1
    assert not np.array_equal(model.generate(["b"], [3])[0], images[1])
    assert model.generate([], []).shape[0] == 0
    with pytest.raises(ValueError, match="1 prompts and 2 seeds"):
        model.generate(["b"], [2, 3])


def test_a_prompt_that_a_pipeline_cuts_is_told(pipeline):
    model = HubGenerator(str(pipeline), steps=1)
    text = "much too long for it"
    model.generate([text], [0])
    assert "has 18 tokens and" in model.cuts[text] and model.cuts[text].endswith("reads 16")


def test_digests_tell_models_and_settings_apart(pipeline):
    first, second = HubGenerator(str(pipeline), steps=1), HubGenerator(str(pipeline), steps=2)
    assert first.digest != second.digest and first.digest == HubGenerator(str(pipeline), steps=1).digest


def test_a_describer_describes(describer):
    model = HubCaptioner(str(describer), tokens=5, batch=2)
    images = dots(3)[0]
    texts = model.caption(images)
    assert len(texts) == 3 and all(isinstance(text, str) for text in texts)
    assert all(word in WORDS for text in texts for word in text.split()) and any(texts)
    assert model.caption(images[2:]) == texts[2:]
    assert HubCaptioner(str(describer), tokens=6).digest != model.digest


@pytest.fixture(scope="module")
def chatter(tmp_path_factory):
    """A LLaVA that nobody trained: it is asked a question in a chat, and its answer begins with what it was asked."""
    from transformers import (
        BertTokenizerFast,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    folder = tmp_path_factory.mktemp("chatter")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "<image>", "describe", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), additional_special_tokens=["<image>"])
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    text = LlamaConfig(vocab_size=len(words), num_key_value_heads=2, initializer_range=0.5, **size, **ends)
    vision = CLIPVisionConfig(image_size=16, patch_size=8, projection_dim=16, **size)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=5, image_seq_length=4)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    template = (
        "{% for part in messages[0].content %}{{ '<image>' if part.type == 'image' else part.text }} {% endfor %}"
    )
    LlavaProcessor(
        images,
        tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    ).save_pretrained(folder)
    return folder


def test_a_chat_model_is_asked_and_answers_without_the_question(chatter):
    model = HubCaptioner(str(chatter), question="describe", tokens=6, batch=2)
    texts = model.caption(dots(3)[0])
    assert len(texts) == 3 and all(len(text.split()) <= 6 for text in texts) and any(texts)
    inputs = model._inputs([__import__("PIL.Image").Image.new("RGB", (16, 16))])
    assert "describe" in model.processor.batch_decode(inputs["input_ids"])[0]


def test_folders_of_the_wrong_kind(pipeline, describer, tmp_path):
    with pytest.raises(InputError, match=r"is not a diffusers text-to-image pipeline .*: it has no model_index\.json"):
        HubGenerator(str(describer))
    with pytest.raises(InputError, match="is not a transformers image-text-to-text model"):
        HubCaptioner(str(pipeline))
    (tmp_path / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    with pytest.raises(InputError, match=r"is not a diffusers text-to-image pipeline.*or not a whole one"):
        HubGenerator(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match=r"is not a transformers image-text-to-text model.*or not a whole one"):
        HubCaptioner(str(tmp_path))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="there is no such folder; put a diffusers text-to-image pipeline"):
        HubGenerator(str(tmp_path / "nothing" / "here"))


def test_no_network_says_what_to_put_where(monkeypatch):
    # the hub's own switch for offline use; without network the libraries raise the same kind of error
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for model, kind in ((HubGenerator, "diffusers text-to-image pipeline"), (HubCaptioner, "image-text-to-text model")):
        with pytest.raises(InputError, match=rf"`hf download nobody/nothing`, put the folder here.*{kind}"):
            model("nobody/nothing")


def test_precision_is_one_of_three(pipeline):
    with pytest.raises(InputError, match="precision 'int8': choose float32"):
        HubGenerator(str(pipeline), precision="int8")
