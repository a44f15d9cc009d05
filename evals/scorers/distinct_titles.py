"""The share of a run's test cases whose titles differ: a list that repeats itself tests less than it says."""


def score(case: dict, trial: dict) -> float:
    """1 = all titles differ; a run without test cases has 0."""
    titles = [test_case["title"].casefold() for test_case in (trial["output"] or {}).get("testCases", [])]
    return len(set(titles)) / len(titles) if titles else 0.0
