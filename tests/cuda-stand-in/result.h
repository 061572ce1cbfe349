// What the driver's functions return, and what came of the work so far.
#pragma once
#include <string>

namespace stand_in {

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    UNSUPPORTED_PTX_VERSION = 222,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700,
    ILLEGAL_INSTRUCTION = 715,
    LAUNCH_FAILED = 719,
    CAPTURE_UNSUPPORTED = 900,
    CAPTURE_INVALIDATED = 901,
    NOT_CAPTURING = 903,
};

// Of the work so far: sticky, like that of a context.
extern Result failed;

// Says on stderr what is wrong.
Result say(Result result, const std::string& what);

}  // namespace stand_in
