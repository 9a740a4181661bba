"""The usual preparation of ImageNet pictures in torch, for the networks that the papers compare with."""

from separable.models.contract import InputContract

__all__ = ["imagenet_input"]


def imagenet_input(padding: str, *, min_size: int) -> InputContract:
    """Short side to 256, centre 224, mean and deviation of ImageNet's pixels, torch's epsilon: torchvision's recipe."""
    return InputContract(
        size=(224, 224),
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        padding=padding,
        batch_norm_eps=1e-5,
        min_size=min_size,
    )
