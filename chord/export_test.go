package chord

// Mutant breaks a Ring in one way. Tests outside of the package plant one to
// see that the schedules of netsim/model catch it.
type Mutant struct {
	Name string
	Slow bool // it takes many schedules to be caught
	m    mutant
}

// Mutants are all of them.
var Mutants = []Mutant{
	{"adopt a successor before it answers", false, mutantAdoptBlindly},
	{"rectify without a liveness check", true, mutantTrustPred},
	{"keep a dead head", false, mutantKeepDeadHead},
	{"skip the list copy", false, mutantSkipCopy},
	{"drop one position of a peer that crashed", false, mutantDropOnePosition},
	{"join before a list is fetched", true, mutantJoinShort},
	{"copy the list of whoever answers", false, mutantAnyAnswer},
	{"take whoever gives notice for the predecessor", true, mutantAnyPred},
	{"evict on hearsay", false, mutantHearsay},
	{"join by the owner's word", true, mutantOwnersWord},
}

// Plant makes r the mutant. It gets no help: a helper's probe of a suspect may
// by chance be the check that a mutant lacks.
func (m Mutant) Plant(r *Ring) {
	r.mutant = m.m
	r.cfg.Helpers = -1
}

// Check exposes the local invariants.
func (r *Ring) Check() error { return r.check() }
