
static double apart(size_t n, const double *right, const @REAL@ *found) {
    double worst = 0, scale = 1;
    for (size_t k = 0; k < n; k++) {
        const double off = fabs(found[k] - right[k]);
        worst = off > worst || off != off ? off : worst;
        scale = fabs(right[k]) > scale ? fabs(right[k]) : scale;
    }
    return worst / scale;
}

/* 0 if all is right; *worst, if asked for, is the largest relative difference. */
int @NAME@_self_test(double *worst) {
    static @REAL@ state[@STATES@], @RESULT@[@SIZE@];
@WORK@
    @NAME@_start(@BATCH@, state);
    @NAME@_forward(
@ARGUMENTS@
    );
    const double one = apart(@SIZE@, right, @RESULT@);
    const double two = apart(@STATES@, right_state, state);
    const double most = one > two || one != one ? one : two;
    if (worst) {
        *worst = most;
    }
    return most < @TOLERANCE@ ? 0 : 1;
}
#endif

#ifndef NO_MAIN
#include <stdio.h>

int main(void) {
    double worst;
    const int wrong = @NAME@_self_test(&worst);
    printf("self-test: largest relative difference %.1e\n", worst);
    return wrong;
}
#endif
