// SPDX-License-Identifier: Apache-2.0
//
// Logistic models over recent prices. They are small, but their predictions depend only on the prices and the
// weights. Knows nothing about databases and tracing.
#ifndef PLATFORM_MODEL_H
#define PLATFORM_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum { MODELS_MAX = 8, MODEL_NAME_SIZE = 32, PRICES_NEEDED = 64 };

enum feature {
    FEATURE_BIAS,
    FEATURE_MOMENTUM_5,  // movement of the price over five steps, in standard deviations
    FEATURE_MOMENTUM_20, // the same over twenty steps
    FEATURE_DISTANCE,    // distance from the mean of all prices
    FEATURE_VOLATILITY,  // standard deviation of one step, in percent
    FEATURES
};

struct model {
    char name[MODEL_NAME_SIZE];
    double weights[FEATURES];
    unsigned known; // bit n is set if weight n is known
};

struct models {
    size_t count;
    struct model list[MODELS_MAX];
};

// The number of the feature with this name, or -1.
int model_feature(const char *name);

// Sets a weight; creates the model when its name first occurs. False if there is no such feature or no room.
bool models_set(struct models *models, const char *model, const char *feature, double weight);

// The name of a model that lacks a weight, or NULL.
const char *models_incomplete(const struct models *models);

// Computes the features of PRICES_NEEDED prices, all greater than zero, the newest last.
void model_features(const double prices[PRICES_NEEDED], double out[FEATURES]);

// The probability that the price rises: the mean over the models, of which there must be at least one.
double models_predict(const struct models *models, const double features[FEATURES]);

#endif
