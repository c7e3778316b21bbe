// OpenTelemetry's detector of EC2: region, zone and host id of the resource.
import { detectResources } from "@opentelemetry/resources";
import { awsEc2Detector } from "@opentelemetry/resource-detector-aws";

const resource = detectResources({ detectors: [awsEc2Detector] });
await resource.waitForAsyncAttributes?.();
const { attributes } = resource;
console.log(attributes["cloud.region"], attributes["cloud.availability_zone"], attributes["host.id"]);
