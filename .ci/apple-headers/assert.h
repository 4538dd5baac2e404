/* As in TargetConditionals.h: for checks without Apple's SDK. */
#define assert(condition) ((void)0)
