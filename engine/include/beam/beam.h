/* libbeam: robust joint communication and sensing beamforming. Everything public. */
#ifndef BEAM_BEAM_H
#define BEAM_BEAM_H
#include "beam/design.h"
#include "beam/error.h"
#include "beam/paper.h"
#include "beam/quality.h"
#include "beam/scene.h"
#include "beam/solver.h"
#endif
