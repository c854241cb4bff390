#include "meros/domain/clv.h"

const double clv_quantile_points[CLV_QUANTILES] = {.01, .05, .1, .25, .5, .75, .9, .95, .99};
const double clv_share_points[CLV_SHARES] = {.01, .05, .1, .2, .5, .8};
