#include "meros/service/recommend_words.h"

#include <stddef.h>

const char *const recommend_strategy_words[] = {
    [RECOMMEND_AUTO] = "auto",
    [RECOMMEND_POPULAR] = "popular",
    [RECOMMEND_TRENDING] = "trending",
    [RECOMMEND_SIMILAR] = "similar",
    [RECOMMEND_BOUGHT_TOGETHER] = "bought_together",
    [RECOMMEND_SEQUENCE] = "sequence",
    [RECOMMEND_CONTENT] = "content",
    [RECOMMEND_ALS] = "als",
    [RECOMMEND_EASE] = "ease",
    [RECOMMEND_BLEND] = "blend",
    [RECOMMEND_NEWEST] = "newest",
    [RECOMMEND_STRATEGIES] = NULL,
};

int recommend_strategy_of(struct str word)
{
    for (int i = 0; recommend_strategy_words[i] != NULL; i++)
        if (str_is(word, recommend_strategy_words[i])) return i;
    return -1;
}

const char *const recommend_reason_words[] = {
    [REASON_SIMILAR_TO] = "similar_to",
    [REASON_BOUGHT_TOGETHER] = "bought_together",
    [REASON_POPULAR] = "popular",
    [REASON_CONTENT] = "content",
    [REASON_SEQUENCE] = "sequence",
    [REASON_DUE_AGAIN] = "due_again",
    [REASON_PROMOTED] = "promoted",
    [REASON_PINNED] = "pinned",
    [REASON_KINDS] = NULL,
};
