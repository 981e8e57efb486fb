from __future__ import annotations

from surgical_pipeline.sandbox.hooks.headers import signature


def test_a_signature_is_the_one_of_the_scheme_s_own_example() -> None:
    """The worked example in the specification of Standard Webhooks' first implementation."""
    body = b'{"test": 2432232314}'
    signed = signature(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body, key="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp="1614265330"
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
