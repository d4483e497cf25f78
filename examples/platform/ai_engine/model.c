// SPDX-License-Identifier: Apache-2.0
#include "platform/ai_engine/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const feature_names[FEATURES] = {"bias", "momentum_5", "momentum_20", "distance",
                                                    "volatility"};

int model_feature(const char *name)
{
    for (int i = 0; i < FEATURES; i++)
        if (strcmp(feature_names[i], name) == 0)
            return i;
    return -1;
}

bool models_set(struct models *models, const char *model, const char *feature, double weight)
{
    int number = model_feature(feature);
    size_t i = 0;
    while (i < models->count && strcmp(models->list[i].name, model) != 0)
        i++;
    if (number < 0 || i == MODELS_MAX || strlen(model) >= MODEL_NAME_SIZE)
        return false;
    if (i == models->count) {
        models->list[i] = (struct model){0};
        snprintf(models->list[i].name, sizeof models->list[i].name, "%s", model);
        models->count++;
    }
    models->list[i].weights[number] = weight;
    models->list[i].known |= 1u << number;
    return true;
}

const char *models_incomplete(const struct models *models)
{
    for (size_t i = 0; i < models->count; i++)
        if (models->list[i].known != (1u << FEATURES) - 1)
            return models->list[i].name;
    return NULL;
}

void model_features(const double prices[PRICES_NEEDED], double out[FEATURES])
{
    enum { LAST = PRICES_NEEDED - 1 };
    double sum = prices[0], squares = 0;
    for (int i = 1; i < PRICES_NEEDED; i++) {
        double step = log(prices[i] / prices[i - 1]);
        squares += step * step;
        sum += prices[i];
    }
    double deviation = sqrt(squares / LAST), mean = sum / PRICES_NEEDED;
    double unit = deviation > 0 ? deviation : 1; // if no price moved, the momentum is 0 with any unit
    out[FEATURE_BIAS] = 1;
    out[FEATURE_MOMENTUM_5] = log(prices[LAST] / prices[LAST - 5]) / (unit * sqrt(5));
    out[FEATURE_MOMENTUM_20] = log(prices[LAST] / prices[LAST - 20]) / (unit * sqrt(20));
    out[FEATURE_DISTANCE] = log(prices[LAST] / mean) / (unit * sqrt(LAST));
    out[FEATURE_VOLATILITY] = deviation * 100;
}

double models_predict(const struct models *models, const double features[FEATURES])
{
    double sum = 0;
    for (size_t i = 0; i < models->count; i++) {
        double logit = 0;
        for (int k = 0; k < FEATURES; k++)
            logit += models->list[i].weights[k] * features[k];
        sum += 1 / (1 + exp(-logit));
    }
    return sum / (double)models->count;
}
