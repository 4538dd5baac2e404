/* As in TargetConditionals.h: for checks without the C library of the target. */
#define assert(condition) ((void)0)
