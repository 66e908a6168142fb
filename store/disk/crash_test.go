package disk

const childEnv = "CHORUS_DISK_TEST_CHILD"

func child(string) {}
