package chord

// Mutant breaks a Ring in one way. Tests outside of the package plant one to
// see that the schedules of netsim/model catch it.
type Mutant struct {
	Name string
	Slow bool   // it takes many schedules to be caught
	From uint64 // the schedule to begin with: 1, or one shortly before the first that catches it
	m    mutant
}

// Mutants are all of them.
var Mutants = []Mutant{
	{"adopt a successor before it answers", false, 1, mutantAdoptBlindly},
	{"rectify without a liveness check", true, 1, mutantTrustPred},
	{"keep a dead head", false, 1, mutantKeepDeadHead},
	{"skip the list copy", false, 1, mutantSkipCopy},
	{"drop one position of a peer that crashed", false, 1, mutantDropOnePosition},
	{"join before a list is fetched", true, 110, mutantJoinShort},
	{"copy the list of whoever answers", false, 1, mutantAnyAnswer},
	{"take whoever gives notice for the predecessor", true, 1, mutantAnyPred},
	{"evict on hearsay", false, 1, mutantHearsay},
	{"join by the owner's word", true, 1, mutantOwnersWord},
}

// Plant makes r the mutant. It gets no help: a helper's probe of a suspect may
// by chance be the check that a mutant lacks.
func (m Mutant) Plant(r *Ring) {
	r.mutant = m.m
	r.cfg.Helpers = -1
}

// Check exposes the local invariants.
func (r *Ring) Check() error { return r.check() }
