/* Scenes that move: users circle their station, targets circle their first position, fading is a
 * sum of plane waves whose phases turn with the users' speed (Jakes), so that channels change as
 * smoothly as Doppler allows. A function of time: any frame can be asked for in any order. */
#ifndef LAB_TRACK_H
#define LAB_TRACK_H

#include "lab/generate.h"

typedef struct lab_track lab_track;

/* The scene at time 0 is another draw than lab_generate_scene gives, from the same distribution
 * (fading: in the limit of many waves). NULL on error. */
lab_track *lab_track_create(const lab_generate_options *options, double user_speed_m_per_s,
                            double target_speed_m_per_s, beam_error *err);
void lab_track_destroy(lab_track **self);

/* A scene of the right sizes with everything that does not move; the caller destroys it. */
lab_scene *lab_track_scene(const lab_track *self, beam_error *err);
/* Channels, radii, targets and reflections at `time_s` into a scene from lab_track_scene. */
void lab_track_at(const lab_track *self, double time_s, beam_scene *scene);

#endif
