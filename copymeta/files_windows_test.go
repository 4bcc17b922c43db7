package copymeta_test

// maxFiles returns how many files may be open at once.
func maxFiles() uint64 { return 1 << 16 }
