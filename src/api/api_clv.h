/* What clv.c and segments.c share. */
#ifndef MEROS_API_CLV_H
#define MEROS_API_CLV_H

#include "api_priv.h"

struct clv_group;

/* Money or another number to a millionth; null for what is not finite. */
void api_number_or_null(struct jsonw *w, const char *name, double v);
/* The members of a group of customers (within an object that is begun): customers, total, mean, their intervals, … */
void api_clv_group_write(struct jsonw *w, const struct clv_group *g, double total_of_all);

#endif
