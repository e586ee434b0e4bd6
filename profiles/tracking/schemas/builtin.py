"""The event schemas every installation starts with. Staff may change them; none is created twice. Pure."""

from __future__ import annotations

from typing import Any

_ARTICLE: dict[str, dict[str, Any]] = {
    "sku": {
        "type": "string",
        "required": True,
        "aliases": ["product_sku", "productSku", "productSKU", "SKU", "Sku", "item_sku", "itemSku"],
        "description": "The article, as your catalog numbers it.",
    },
    "variant": {
        "type": "string",
        "aliases": ["product_variant", "productVariant", "variant_name", "variantName"],
        "description": "Size, color …",
    },
    "price": {
        "type": "number",
        "minimum": 0,
        "aliases": ["product_price", "productPrice", "unit_price", "unitPrice", "item_price", "itemPrice"],
        "description": "Of one piece, as a number.",
    },
    "quantity": {
        "type": "integer",
        "minimum": 0,
        "aliases": ["qty", "product_quantity", "productQuantity"],
        "description": "How many pieces.",
    },
}
_CART: dict[str, dict[str, Any]] = {
    "cart_id": {
        "type": "string",
        "aliases": ["cartId", "cartID", "basket_id", "basketId"],
        "description": "The cart: a new one for each cart, the same from the first article to the order.",
    }
}
_REQUIRED_CART = {"cart_id": {**_CART["cart_id"], "required": True}}
# Of orders and checkouts the articles are in a list; an event about one article has them by itself.
_ARTICLES: dict[str, dict[str, Any]] = {
    **{
        name: {key: value for key, value in spec.items() if key != "required"}
        for name, spec in _ARTICLE.items()
    },
    "products": {"type": "array", "items": _ARTICLE, "description": "The articles, one entry each."},
}
_TOTAL: dict[str, dict[str, Any]] = {
    "total": {
        "type": "number",
        "aliases": ["order_total", "orderTotal"],
        "description": "With tax and shipping.",
    },
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "EUR, USD, PLN …"},
}

SCHEMAS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "Product Viewed": ("Somebody looked at an article.", {**_ARTICLE, **_CART}),
    "Added to Cart": ("Somebody put an article into a cart.", {**_REQUIRED_CART, **_ARTICLE}),
    "Checkout Started": (
        "Somebody began to pay for a cart.",
        {**_REQUIRED_CART, **_ARTICLES, **_TOTAL},
    ),
    "Order Completed": (
        "Somebody paid for a cart. Sent by the browser, the shop's server, or both.",
        {
            **_REQUIRED_CART,
            "order_id": {"type": "string", "aliases": ["orderId", "orderID", "order_number"]},
            **_ARTICLES,
            **_TOTAL,
        },
    ),
}
