/* "train.recommendations": learns what goes with what from events and orders (domain/interaction.h) and makes it what
 * recommendations are answered from (model/recommender.h). How it compares and chooses: src/service/reco_training_priv.h. */
#ifndef MEROS_SERVICE_RECOMMEND_TRAINING_H
#define MEROS_SERVICE_RECOMMEND_TRAINING_H

#include "meros/service/jobs.h"

extern const struct job_kind training_recommendations_kind;

#endif
