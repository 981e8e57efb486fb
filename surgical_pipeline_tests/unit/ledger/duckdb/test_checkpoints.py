from surgical_pipeline.ledger.duckdb.checkpoints import MOST_BYTES, CheckpointPolicy


def test_replays_that_cost_less_than_a_checkpoint_are_borne() -> None:
    policy = CheckpointPolicy(price_ms=20)
    for _ in range(4):
        policy.attached(5, log_bytes=1000)  # of which 1.2 ms are the opening itself
    assert not policy.due(1000)


def test_a_checkpoint_is_due_once_replays_have_cost_as_much() -> None:
    policy = CheckpointPolicy(price_ms=20)
    for _ in range(6):
        policy.attached(5, log_bytes=1000)
    assert policy.due(1000)
    assert not policy.due(0), "somebody else has just folded it in"


def test_a_log_that_is_found_empty_makes_all_that_was_paid_history() -> None:
    policy = CheckpointPolicy(price_ms=20)
    policy.attached(100, log_bytes=1000)
    policy.attached(1, log_bytes=0)
    assert not policy.due(1000)


def test_the_price_follows_what_checkpoints_cost() -> None:
    policy = CheckpointPolicy(price_ms=20)
    policy.tried(60)
    policy.attached(1.2 + 39, log_bytes=1000)
    assert not policy.due(1000)
    policy.attached(1.2 + 1, log_bytes=1000)
    assert policy.due(1000)


def test_a_checkpoint_that_could_not_be_made_is_not_tried_again_at_once() -> None:
    policy = CheckpointPolicy(price_ms=20)
    policy.attached(100, log_bytes=1000)
    policy.tried(1)
    assert not policy.due(1000)


def test_a_very_long_log_is_folded_in_though_nothing_was_paid_for_it_here() -> None:
    assert CheckpointPolicy().due(MOST_BYTES + 1)
    assert not CheckpointPolicy().due(MOST_BYTES)
