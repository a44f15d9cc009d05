def test_finds_the_requirement_that_the_words_are_from(tool):
    hits = tool({"query": "a released version is overwritten, renamed or deleted"})["hits"]
    assert hits[0]["id"] == "A3"
    assert "never changes" in hits[0]["text"]


def test_the_best_comes_first(tool):
    scores = [hit["score"] for hit in tool({"query": "canary by weight and allow-list"}, limit=10)["hits"]]
    assert len(scores) == 10
    assert scores == sorted(scores, reverse=True)


def test_gives_five_unless_the_agent_says_otherwise(tool):
    assert len(tool({"query": "version of an agent"})["hits"]) == 5
    assert len(tool({"query": "version of an agent"}, limit=2)["hits"]) == 2


def test_a_plural_finds_its_singular(tool):
    assert tool({"query": "rollbacks"})["hits"][0]["id"] == tool({"query": "rollback"})["hits"][0]["id"]


def test_nothing_in_common_finds_nothing(tool):
    assert tool({"query": "zzz qqq"}) == {"hits": []}
    assert tool({"query": ""}) == {"hits": []}
