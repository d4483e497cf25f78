// SPDX-License-Identifier: Apache-2.0
//
// Logistic models over recent prices: small, but what they say follows from the prices and the weights, and from nothing
// else. Knows nothing of databases and tracing.
#ifndef PLATFORM_MODEL_H
#define PLATFORM_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum { MODELS_MAX = 8, MODEL_NAME_SIZE = 32, PRICES_NEEDED = 64 };

enum feature {
    FEATURE_BIAS,
    FEATURE_MOMENTUM_5,  // how far the price came in five steps, in the steps' own deviations
    FEATURE_MOMENTUM_20, // in twenty
    FEATURE_DISTANCE,    // from the mean of all prices
    FEATURE_VOLATILITY,  // deviation of a step, in percent
    FEATURES
};

struct model {
    char name[MODEL_NAME_SIZE];
    double weights[FEATURES];
    unsigned known; // bit n: weight n is there
};

struct models {
    size_t count;
    struct model list[MODELS_MAX];
};

// The number of the feature of this name, or -1.
int model_feature(const char *name);

// Sets a weight; a model is made when it is first named. False if there is no such feature or no room.
bool models_set(struct models *models, const char *model, const char *feature, double weight);

// The name of a model that lacks a weight, or NULL.
const char *models_incomplete(const struct models *models);

// Features of PRICES_NEEDED prices over zero, the newest last.
void model_features(const double prices[PRICES_NEEDED], double out[FEATURES]);

// The probability that the price rises: the mean of what the models say. There is at least one model.
double models_predict(const struct models *models, const double features[FEATURES]);

#endif
