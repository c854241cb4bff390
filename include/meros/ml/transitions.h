/* What comes next: a Markov chain of first order with gaps (sequential rules: Ludewig & Jannach, UMUAI 2018).
 *
 * In each sequence (a customer's items, oldest first), an item a at place p and b at place q > p, q - p <= window and
 * a != b, give the step a -> b the weight decay^(q - p - 1) w_q. Then
 *   score_ab = N_ab / (sum_b N_ab + shrink)
 * is near the chance that b follows a, less sure where a was seen rarely. Each item keeps its k best (neighbours.h). */
#ifndef MEROS_ML_TRANSITIONS_H
#define MEROS_ML_TRANSITIONS_H

#include "meros/ml/neighbours.h"

struct sequences { /* sequence s is item[start[s]] .. item[start[s + 1] - 1] */
    size_t n;
    const size_t *start;    /* n + 1 */
    const uint32_t *item;
    const float *weight;    /* >= 0, of an event (recent ones more); NULL: all 1 */
};

struct transitions_params {
    int k;        /* 1 .. 10000 */
    int window;   /* 1 .. 100 */
    double decay; /* above 0, at most 1 */
    double shrink; /* >= 0 */
};
#define TRANSITIONS_PARAMS_DEFAULT                                                                            \
    {                                                                                                        \
        .k = 50, .window = 5, .decay = 0.5, .shrink = 5                                                      \
    }

/* The bytes that transitions_fit will have allocated at its peak, table included, at most. Looks at s->start only. */
size_t transitions_memory(const struct sequences *s, size_t items, const struct transitions_params *params);

/* *out is written on success only. Memory while it works: 32 bytes an event and place of the window at most.
 * MEROS_UNPROCESSABLE for bad parameters, items >= items or weights that make no sense; MEROS_OUT_OF_MEMORY, also past
 * budget bytes (0: no limit). */
enum meros_code transitions_fit(const struct sequences *s, size_t items, const struct transitions_params *params,
                                size_t budget, struct neighbours *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Adds to scores (items) what n recent items (oldest first) lead to: the last counts 1, each one before it `decay`
 * times the next. Items that the table does not know are passed over. */
void transitions_add_scores(const struct neighbours *t, const uint32_t *recent, size_t n, double decay, float *scores);

#endif
