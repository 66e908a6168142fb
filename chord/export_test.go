package chord

// Mutant breaks a Ring in one way. Tests outside of the package plant one to
// see that the schedules of netsim/model catch it.
type Mutant struct {
	Name string
	m    mutant
}

// Mutants are all of them.
var Mutants = []Mutant{
	{"adopt a successor before it answers", mutantAdoptBlindly},
	{"rectify without a liveness check", mutantTrustPred},
	{"keep a dead head", mutantKeepDeadHead},
	{"skip the list copy", mutantSkipCopy},
}

// Plant makes r the mutant. It gets no help: a helper's probe of a suspect may
// by chance be the check that a mutant lacks.
func (m Mutant) Plant(r *Ring) {
	r.mutant = m.m
	r.cfg.Helpers = -1
}

// Check exposes the local invariants.
func (r *Ring) Check() error { return r.check() }
