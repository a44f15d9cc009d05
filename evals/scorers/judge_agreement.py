"""How far a judge's answer is what people said: of a grade, of a comparison, or of each claim."""


def score(case: dict, trial: dict) -> float:
    """1 = the same; a grade loses what it is off, a comparison is right or wrong, claims count one by one.

    Raises where the answer is not one to the question's task: then there is no agreement to speak of.
    """
    said, output = case["expected"], trial["output"]
    if "score" in said:
        return 1.0 - abs(output["score"] - said["score"])
    if "winner" in said:
        return 1.0 if output["winner"] == said["winner"] else 0.0
    found = [claim["supported"] for claim in output["claims"]]
    if len(found) != len(said["supported"]):
        return 0.0
    return sum(one == other for one, other in zip(found, said["supported"], strict=True)) / len(found)
