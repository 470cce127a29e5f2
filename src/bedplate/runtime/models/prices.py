"""What a call costs, by the price list that comes with genai-prices. Goes in: provider, model, tokens; out: dollars."""

from __future__ import annotations

from bedplate.runtime.models.providers import Provider


def price(provider: Provider, model: str, input_tokens: int, output_tokens: int) -> float | None:
    """The price of one call in US dollars; None where the list does not know the model."""
    if provider.free:
        return 0.0
    if not provider.price_id:
        return None
    from genai_prices import Usage, calc_price

    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    try:
        return float(calc_price(usage, model, provider_id=provider.price_id).total_price)
    except LookupError:
        return None
