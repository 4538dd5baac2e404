/* As in TargetConditionals.h: for checks without Apple's SDK. */
#include <stddef.h>
void abort(void);
