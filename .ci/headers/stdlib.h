/* As in TargetConditionals.h: for checks without the C library of the target. */
#include <stddef.h>
void abort(void);
