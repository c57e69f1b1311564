/* One fresh scene under a model: hypervolume of its fronts against a reference, and the answers at
 * evenly spaced trade-offs one by one. */
#ifndef LAB_EVALUATE_SCENE_H
#define LAB_EVALUATE_SCENE_H

#include "lab/format.h"
#include "lab/model_file.h"

enum { LAB_SCORE_TRADEOFFS = 33 };

typedef struct lab_scene_score {
    /* ratio_same_count of FORMATS section 3 */
    double checked; /* beamlab front --method network */
    double refined; /* with --refine; NAN when not asked for */
    double bare;    /* the network's own points, whatever they are, at the same count */
    /* at trade-offs k/32: which candidate was published, and the merit above the best of the
     * reference's points, with its ideal values */
    beam_method chosen[LAB_SCORE_TRADEOFFS];
    double gap[LAB_SCORE_TRADEOFFS], bare_gap[LAB_SCORE_TRADEOFFS];
} lab_scene_score;

typedef struct lab_score_options {
    int points, refine, reference_points;
} lab_score_options;

beam_code lab_scene_evaluate(lab_scene_score *score, const lab_model *model, const lab_scene *scene,
                             const lab_score_options *options, beam_error *err);

#endif
