"""A market walked over HTTP, as clients do it: every write carries a key, so a lost answer is simply asked for again."""

import time
from typing import Any
from uuid import uuid4

import httpx

PASSWORD = "demo-pass-1"
_AWAY = (httpx.TransportError,)


class Walker:
    """One signed-in person. `patience` is how many seconds a request is tried again while servers are away."""

    def __init__(
        self, url: str, login: str, audience: str, *, patience: float = 0, password: str = PASSWORD
    ) -> None:
        self.http = httpx.Client(base_url=url, timeout=30)
        self.login, self.audience, self.patience, self.password = login, audience, patience, password
        self.token = ""
        self.sign_in()

    def __del__(self) -> None:
        self.http.close()

    def sign_in(self) -> None:
        """Get a token."""
        answer = self.call(
            "POST",
            "/api/auth/tokens",
            json={
                "provider": "password",
                "login": self.login,
                "password": self.password,
                "audience": self.audience,
            },
        )
        assert answer.status_code == 201, answer.text
        self.token = answer.json()["access_token"]

    def call(self, method: str, path: str, *, key: str | None = None, **kwargs: Any) -> httpx.Response:
        """One request, tried again while the servers are away; a POST keeps its Idempotency-Key."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST" and self.token:
            headers["Idempotency-Key"] = key or uuid4().hex
        until = time.monotonic() + self.patience
        while True:
            try:
                answer = self.http.request(method, path, headers=headers, **kwargs)
                busy = answer.status_code == 503 or (
                    answer.status_code == 409 and answer.json()["code"] == "in_progress"
                )
                if not busy or time.monotonic() > until:
                    return answer
            except _AWAY:
                if time.monotonic() > until:
                    raise
            time.sleep(0.1)

    def get(self, path: str, **params: Any) -> Any:
        """A successful GET's JSON."""
        return self._good(self.call("GET", path, params=params))

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """A successful POST's JSON."""
        return self._good(self.call("POST", path, json=body if body is not None else {}, key=key))

    def put(self, path: str, body: Any) -> Any:
        """A successful PUT's JSON."""
        return self._good(self.call("PUT", path, json=body))

    @staticmethod
    def _good(answer: httpx.Response) -> Any:
        assert answer.status_code < 300, (
            f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
        )
        return answer.json() if answer.content else None


def sellable(walker: Walker, merchant_id: str, count: int = 1, *, at_least: int = 2) -> list[dict[str, Any]]:
    """SKUs of a merchant with stock: {id, price, available}."""
    found: list[dict[str, Any]] = []
    for item in walker.get("/api/shop/products", merchant_id=merchant_id, limit=50)["items"]:
        detail = walker.get(f"/api/shop/products/{item['id']}")
        found += [sku for sku in detail["skus"] if sku["available"] >= at_least][:1]
        if len(found) >= count:
            return found[:count]
    raise AssertionError(f"merchant {merchant_id} has no {count} products to sell")


def fill_cart(buyer: Walker, skus: list[str], quantity: int = 1) -> Any:
    """Put SKUs into the cart; the answer is the cart with its quote."""
    cart = None
    for sku in skus:
        cart = buyer.put(f"/api/shop/cart/lines/{sku}", {"quantity": quantity, "selected": True})
    return cart


def buy(buyer: Walker, skus: list[str], *, quantity: int = 1, key: str | None = None) -> Any:
    """Cart, checkout and payment; the paid trade."""
    cart = fill_cart(buyer, skus, quantity)
    trade = buyer.post("/api/shop/checkout", {"expected_payable": cart["quote"]["payable"]}, key=key)
    return pay(buyer, trade["id"])


def pay(buyer: Walker, trade_id: str) -> Any:
    """Pay a trade through the sandbox; waits until the notification has arrived."""
    payment = buyer.post(f"/api/shop/trades/{trade_id}/payments", {"provider": "sandbox"})
    if payment["status"] != "paid":
        buyer.post(payment["client"]["pay_url"])
    return wait_for(
        lambda: buyer.get(f"/api/shop/trades/{trade_id}"), lambda t: t["status"] == "paid", seconds=90
    )


def fulfil(buyer: Walker, merchants: dict[str, Walker], trade: Any) -> None:
    """Every merchant accepts and ships its order, and redeems the codes of what is not shipped; the buyer receives."""
    for order in trade["orders"]:
        shop, at = merchants[order["merchant"]["id"]], f"orders/{order['id']}"
        state = shop.get(f"/api/merchant/{at}")["status"]
        if state == "paid":
            state = shop.post(f"/api/merchant/{at}/accept")["status"]
        if state == "accepted":
            shop.post(f"/api/merchant/{at}/parcels", {"carrier": "sf", "waybill_no": f"SF{uuid4().hex[:10]}"})
        for parcel in buyer.get(f"/api/shop/{at}")["parcels"]:
            if parcel["status"] == "ready":
                shop.post("/api/merchant/redemptions", {"code": parcel["code"]})
        if buyer.get(f"/api/shop/{at}")["status"] == "shipped":
            buyer.post(f"/api/shop/{at}/receive")


def wait_for(look: Any, good: Any, *, seconds: float = 30) -> Any:
    """Look again until it is good."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if good(found):
            return found
        assert time.monotonic() < until, f"still not so after {seconds} s: {found}"
        time.sleep(0.1)
