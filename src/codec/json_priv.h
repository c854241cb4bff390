/* What the files that read JSON share. */
#ifndef MEROS_CODEC_JSON_PRIV_H
#define MEROS_CODEC_JSON_PRIV_H

#include <stddef.h>

/* Columns count characters, as editors do; both from 1. */
void json_line_and_column(const char *p, size_t at, int *line, int *column);

#endif
