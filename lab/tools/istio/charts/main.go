// Command charts writes the Helm charts that the Istio module embeds to a directory.
// usage: charts DIRECTORY
package main

import (
	"fmt"
	"io/fs"
	"os"

	"istio.io/istio/manifests"
)

func write(directory string) error {
	charts, err := fs.Sub(manifests.FS, "charts")
	if err != nil {
		return err
	}
	return os.CopyFS(directory, charts)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: charts DIRECTORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
