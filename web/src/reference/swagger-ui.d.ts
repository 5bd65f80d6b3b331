/** As much of Swagger UI as the reference uses; it comes without types. */
declare module 'swagger-ui-dist/swagger-ui-es-bundle.js' {
  interface Options {
    dom_id: string;
    url: string;
    deepLinking: boolean;
    docExpansion: 'list' | 'full' | 'none';
    defaultModelsExpandDepth: number;
    filter: boolean;
    validatorUrl: null;
  }
  export default function SwaggerUI(options: Options): unknown;
}
