package fs

import "strings"

// inLog is a path as logs show it: of a key, which is the right to read, its
// first digits.
func inLog(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if _, ok := parseKeyName(part); ok {
			parts[i] = part[:8] + "…"
		}
	}
	return strings.Join(parts, "/")
}
